#![doc = include_str!("../README.md")]

pub mod cluster;
mod error;
pub mod low_rank;
pub mod matrix;
pub mod norms;

pub use error::{Error, Result};
