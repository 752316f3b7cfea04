//! Tests of the crate as its users see it.

mod compare;
mod lab;
mod pictures;
