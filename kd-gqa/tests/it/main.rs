//! Integration tests.

mod allocations;
mod attention;
mod groups;
mod images;
mod vit;
