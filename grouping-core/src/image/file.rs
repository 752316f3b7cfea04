//! One image in a file: read with bounds, and written as PNG.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, ImageResult, Limits, RgbImage,
};

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

/// The formats that are read, for messages.
pub(super) const FORMATS: &str = "PNG, JPEG, WebP, TIFF, BMP or PNM";

/// An image as it was decoded, and what its file says of its colours, which decoding leaves out of account.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The pixels, in the file's own kind of samples.
    pub image: DynamicImage,
    /// Whether the file holds a colour profile (ICC).
    pub has_profile: bool,
    /// What a PNG file says of its gamma (gAMA): 1/2.2 is what screens expect.
    pub gamma: Option<f64>,
}

/// Reads an image file of a bounded size (PNG, JPEG, WebP, TIFF, BMP or PNM) as RGB of 8 bits. Samples of 16 bits are divided by 257,
/// which keeps their full range; an alpha channel is dropped.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read, [`Error::FileField`] for one that is no such image.
pub fn read_image(path: &Path, orientation: Orientation) -> Result<RgbImage> {
    Ok(decode_image(path, orientation)?.image.into_rgb8())
}

/// Reads an image file of a bounded size, as [`read_image`], with its alpha channel and all bits of its samples.
///
/// # Errors
/// Those of [`read_image`].
pub fn decode_image(path: &Path, orientation: Orientation) -> Result<Decoded> {
    let mut reader = ImageReader::open(path).map_err(Error::file(path, "open"))?;
    reader.limits(limits());
    let reader = reader.with_guessed_format().map_err(Error::file(path, "read"))?;
    let decode = || match reader.format() {
        Some(ImageFormat::Png) => {
            let decoded = decoded(reader.into_decoder()?, orientation)?;
            Ok(Decoded { gamma: png_gamma(path), ..decoded })
        }
        _ => decoded(reader.into_decoder()?, orientation),
    };
    decode().map_err(|e: ImageError| Error::file_field(path, "image", format!("an image ({FORMATS})"), e))
}

/// The gamma of a PNG file; `PngDecoder::gamma_value` of image 0.25.10 has none for any file.
fn png_gamma(path: &Path) -> Option<f64> {
    let decoder = png::Decoder::new(BufReader::new(File::open(path).ok()?));
    let gamma = decoder.read_info().ok()?.info().gamma()?;
    Some(f64::from(gamma.into_value()))
}

fn decoded(mut decoder: impl ImageDecoder, orientation: Orientation) -> ImageResult<Decoded> {
    let mut limits = limits();
    limits.reserve(decoder.total_bytes())?;
    decoder.set_limits(limits)?;
    let has_profile = decoder.icc_profile()?.is_some();
    let turn = match orientation {
        Orientation::Stored => None,
        Orientation::Upright => Some(decoder.orientation()?),
    };
    let mut image = DynamicImage::from_decoder(decoder)?;
    if let Some(turn) = turn {
        image.apply_orientation(turn);
    }
    Ok(Decoded { image, has_profile, gamma: None })
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
