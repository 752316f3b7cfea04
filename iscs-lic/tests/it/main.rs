//! Tests of the crate as its users see it.

mod coder;
mod compare;
mod fixture;
mod lab;
mod pictures;
mod tables;
