#![doc = include_str!("../README.md")]

pub mod apportion;
pub mod cluster;
#[cfg(feature = "burn")]
pub mod device;
mod error;
mod finite;
#[cfg(feature = "files")]
pub mod folder;
#[cfg(feature = "nn")]
pub mod kernels;
pub mod low_rank;
pub mod magnitude;
pub mod matrix;
#[cfg(feature = "nn")]
pub mod nn;
pub mod norms;
pub mod peaks;
pub mod process;
pub mod procrustes;
pub mod running;
pub mod seed;
#[cfg_attr(not(feature = "nn"), allow(dead_code, reason = "the kernels use all of it"))]
mod simd;
#[cfg(feature = "files")]
pub mod tensor_file;
#[cfg(feature = "files")]
pub mod text;
#[cfg(feature = "train")]
pub mod train;

pub use error::{Error, Result};
