//! Image files in, normalised values out; PNG files and contact sheets.

mod contact_sheet;
mod file;
mod folder;
mod prepare;

pub use contact_sheet::{Captions, contact_sheet};
pub use file::{Orientation, read_image, write_png};
pub use folder::{ImageFolder, LabelledImage};
pub use prepare::Preparation;
