//! Integration tests.

mod groups;
