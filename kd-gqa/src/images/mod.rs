//! Image files in, normalised values out: what a vision transformer is evaluated and calibrated on.

mod folder;
mod prepare;

pub use folder::{ImageFolder, LabelledImage};
pub use prepare::Preparation;
