#![doc = include_str!("../README.md")]

mod error;
#[cfg(feature = "nn")]
pub mod kernels;
pub mod low_rank;
pub mod matrix;

pub use error::{Error, Result};
