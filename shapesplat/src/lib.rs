#![doc = include_str!("../README.md")]

pub mod edit;
mod error;
pub mod format;
pub mod mesh;
pub mod splats;
pub mod summary;
pub mod synth;
pub mod view;

pub use error::{Error, Result};
pub use mesh::Mesh;
pub use splats::Splats;
