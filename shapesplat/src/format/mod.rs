//! Formats of splat files: told apart by content on the way in and by extension on the way out.

mod report;

pub use report::{PropertyError, Written};
