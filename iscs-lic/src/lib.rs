#![doc = include_str!("../README.md")]

pub mod coder;
pub mod container;
mod error;

pub use error::{Error, Result};
