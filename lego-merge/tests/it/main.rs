//! Integration tests.

mod adapters;
mod bad_input;
mod command;
mod compare;
mod golden;
mod kinds;
mod lab;
mod properties;
mod readme;
mod real_adapters;
mod recipe;
mod roundtrip;
mod spellings;
mod untrusted;
