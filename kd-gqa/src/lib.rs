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
pub mod inference;
pub mod pgqa;
pub mod text;
pub mod vit;

pub use error::{Error, Result};
pub use groups::Groups;
