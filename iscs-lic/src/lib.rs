#![doc = include_str!("../README.md")]

pub mod channels;
pub mod checkpoint;
#[cfg(feature = "model")]
pub mod codec;
pub mod coder;
pub mod container;
mod error;
pub mod fixed;
#[cfg(feature = "model")]
pub mod measure;
#[cfg(feature = "model")]
pub mod model;
#[cfg(feature = "model")]
pub mod picture;
pub mod plan;

pub use error::{Error, Result};
