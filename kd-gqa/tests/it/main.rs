//! Integration tests.

mod allocated_bytes;
mod allocations;
mod attention;
mod groups;
mod images;
mod vit;
mod pgqa;
mod checkpoint;
mod convert;
mod groups;
mod malformed;
mod models;
mod readme;
