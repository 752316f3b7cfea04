#![doc = include_str!("../README.md")]

#[cfg(feature = "cli")]
pub mod cli;
mod error;
pub mod groups;

pub use error::{Error, Result};
pub use groups::Groups;
