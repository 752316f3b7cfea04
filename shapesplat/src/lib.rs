#![doc = include_str!("../README.md")]

pub mod edit;
mod error;
pub mod format;
pub mod splats;
pub mod summary;
pub mod view;

pub use error::{Error, Result};
pub use splats::Splats;
