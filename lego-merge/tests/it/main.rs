//! Integration tests.

mod lab;
