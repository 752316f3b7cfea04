#![doc = include_str!("../README.md")]

mod error;
pub mod low_rank;
pub mod matrix;

pub use error::{Error, Result};
