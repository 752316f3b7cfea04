//! Image files in, normalised values out; PNG files and contact sheets.

mod contact_sheet;
mod file;
mod folder;
mod prepare;

pub use contact_sheet::{Captions, contact_sheet};
pub use file::{Decoded, Orientation, decode_image, read_image, write_png};
pub use folder::{ImageFolder, LabelledImage, files_below};
pub use prepare::Preparation;
