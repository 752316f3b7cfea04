#![doc = include_str!("../README.md")]

pub mod account;
pub mod allocation;
pub mod attention;
pub mod calibrate;
pub mod checkpoint;
#[cfg(feature = "cli")]
pub mod cli;
pub mod convert;
pub mod decoder;
mod error;
pub mod evaluate;
pub mod groups;
pub mod images;
pub mod inference;
#[cfg(feature = "lab")]
pub mod lab;
mod layer_norm;
pub mod pgqa;
pub mod score;
pub mod text;
pub mod vit;

pub use error::{Error, Result};
pub use groups::Groups;
pub use layer_norm::LayerNorm;
