//! Integration tests.

mod allocations;
mod attention;
mod account;
mod groups;
mod images;
mod vit;
