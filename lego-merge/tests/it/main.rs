<<<<<<< HEAD
//! Integration tests.

mod lab;
=======
//! Integration tests of lego-merge.

mod adapters;
mod bad_input;
mod command;
mod golden;
mod properties;
mod readme;
mod real_adapters;
mod roundtrip;
>>>>>>> lego
