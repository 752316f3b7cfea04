#![doc = include_str!("../README.md")]

#[cfg(feature = "burn")]
pub mod device;
mod error;
#[cfg(feature = "nn")]
pub mod kernels;
pub mod low_rank;
pub mod matrix;

pub use error::{Error, Result};
