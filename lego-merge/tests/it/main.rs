//! Integration tests.

mod adapters;
mod bad_input;
mod command;
mod golden;
mod lab;
mod properties;
mod readme;
mod real_adapters;
mod roundtrip;
mod subspace;
