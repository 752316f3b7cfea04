#![doc = include_str!("../README.md")]

pub mod adapter;
mod error;
pub mod inspect;
pub mod merge;
pub mod msu;

pub use error::{Error, Result};
