#![doc = include_str!("../README.md")]

pub mod account;
pub mod allocation;
pub mod attention;
pub mod calibrate;
pub mod checkpoint;
pub mod convert;
pub mod decoder;
mod error;
pub mod evaluate;
pub mod groups;
pub mod images;
pub mod inference;
mod layer_norm;
pub mod pgqa;
pub mod score;
pub mod text;
pub mod vit;

pub use error::{Error, Result};
pub use groups::Groups;
pub use layer_norm::LayerNorm;
