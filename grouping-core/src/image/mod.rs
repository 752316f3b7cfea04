//! Image files in, normalised values out.

mod folder;
mod prepare;

pub use folder::{ImageFolder, LabelledImage};
pub use prepare::Preparation;
