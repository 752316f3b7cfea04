#![doc = include_str!("../README.md")]

pub mod adapter;
#[cfg(feature = "cli")]
pub mod cli;
mod error;
pub mod inspect;
pub mod merge;
pub mod msu;

pub use error::{Error, Result};
