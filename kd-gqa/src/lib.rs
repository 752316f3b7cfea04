#![doc = include_str!("../README.md")]

pub mod account;
pub mod allocation;
#[cfg(feature = "model")]
pub mod attention;
pub mod calibrate;
pub mod checkpoint;
pub mod convert;
#[cfg(feature = "model")]
pub mod decoder;
mod error;
#[cfg(feature = "model")]
pub mod evaluate;
pub mod groups;
#[cfg(feature = "model")]
pub mod inference;
#[cfg(feature = "model")]
pub mod pgqa;
#[cfg(feature = "text")]
pub mod text;
#[cfg(feature = "model")]
pub mod vit;

pub use error::{Error, Result};
pub use groups::Groups;
