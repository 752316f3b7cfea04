//! Integration tests.

mod groups;
mod images;
