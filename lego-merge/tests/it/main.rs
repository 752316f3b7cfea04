//! Integration tests.

mod adapters;
mod agreement;
mod bad_input;
mod beyond_peft;
mod command;
mod compare;
mod dense;
mod disagreement;
mod golden;
mod kinds;
mod lab;
mod lego_factors;
mod lego_properties;
mod many;
mod outputs;
mod properties;
mod prune;
mod ranks;
mod readme;
mod real_adapters;
mod recipe;
mod roundtrip;
mod spellings;
mod subspace;
mod untrusted;
