//! One image in a file: read with bounds, and written as PNG.

use std::io::{BufWriter, Write};
use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageDecoder, ImageReader, ImageResult, Limits, RgbImage};

use crate::files::output::{Existing, write_file};
use crate::{Error, Result};

/// No side of an image is longer, and none takes more memory while it is decoded.
const LONGEST_SIDE: u32 = 1 << 15;
const DECODED_BYTES: u64 = 1 << 30;

/// What happens to the orientation that a camera writes beside the pixels (EXIF).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Orientation {
    /// Pixels stay as they are stored, as torchvision and timm read them.
    #[default]
    Stored,
    /// The image is turned upright.
    Upright,
}

/// Reads a PNG or JPEG file of a bounded size as RGB of 8 bits. Samples of 16 bits are divided by 257, which keeps their full range.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read, [`Error::FileField`] for one that is no such image.
pub fn read_image(path: &Path, orientation: Orientation) -> Result<RgbImage> {
    let mut reader = ImageReader::open(path).map_err(Error::file(path, "open"))?;
    reader.limits(limits());
    let reader = reader.with_guessed_format().map_err(Error::file(path, "read"))?;
    let decode = || -> ImageResult<RgbImage> {
        let mut decoder = reader.into_decoder()?;
        let mut limits = limits();
        limits.reserve(decoder.total_bytes())?;
        decoder.set_limits(limits)?;
        let turn = match orientation {
            Orientation::Stored => None,
            Orientation::Upright => Some(decoder.orientation()?),
        };
        let mut image = DynamicImage::from_decoder(decoder)?;
        if let Some(turn) = turn {
            image.apply_orientation(turn);
        }
        Ok(image.into_rgb8())
    };
    decode().map_err(|e| Error::file_field(path, "image", "a PNG or JPEG image", e))
}

/// Writes `image` to `path` as PNG; the file appears whole or not at all.
///
/// # Errors
/// Those of [`write_file`].
pub fn write_png(path: &Path, image: &RgbImage, existing: Existing) -> Result<()> {
    write_file(path, existing, |file| {
        let mut out = BufWriter::new(file);
        let written = image.write_with_encoder(PngEncoder::new(&mut out)).map_err(std::io::Error::other);
        written.and_then(|()| out.flush()).map_err(Error::file(path, "write"))
    })
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(LONGEST_SIDE), Some(LONGEST_SIDE));
    limits.max_alloc = Some(DECODED_BYTES);
    limits
}
