#![doc = include_str!("../README.md")]

mod activation;
pub mod cluster;
#[cfg(feature = "command")]
pub mod command;
pub mod correlation;
#[cfg(feature = "burn")]
pub mod device;
mod error;
#[cfg(feature = "files")]
pub mod files;
#[cfg(feature = "image")]
pub mod image;
#[cfg(feature = "nn")]
pub mod kernels;
pub mod low_rank;
pub mod matching;
pub mod matrix;
pub mod neighbours;
#[cfg(feature = "nn")]
pub mod nn;
#[cfg(feature = "files")]
mod platform;
pub mod process;
pub mod score;
pub mod seed;
pub mod simd;
pub mod stats;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(feature = "train")]
pub mod train;

pub use activation::Activation;
pub use error::{Error, Result};
