//! Classic codecs beside the networks: JPEG by jpeg-encoder, WebP by libwebp, AVIF by rav1e, JPEG 2000 by OpenJPEG. Their quality numbers mean
//! nothing to each other; curves are compared by rate, of whole files.

#[cfg(feature = "avif")]
mod avif;
#[cfg(feature = "jpeg2000")]
mod jpeg2000;

use std::io::Cursor;
use std::time::Instant;

use image::ImageReader;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::evaluate::{Coding, PictureCodec};
use crate::picture::Picture;
use crate::{Error, Result};

/// A classic codec at one quality.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Classic {
    /// Progressive JPEG with optimised Huffman tables.
    Jpeg {
        /// From 1 to 100.
        quality: u8,
        /// Whether colour has half the resolution on both axes (4:2:0), or all of it (4:4:4).
        halves_color: bool,
    },
    /// Lossy WebP at effort 4; colour always has half the resolution.
    WebP {
        /// From 0 to 100.
        quality: u8,
    },
    /// AVIF, tuned for PSNR, with all of the colour's resolution (4:4:4) in 10 bits. The picture is the encoder's reconstruction, which is
    /// what a decoder shows; so there is no time of decoding.
    #[cfg(feature = "avif")]
    Avif {
        /// From 0 to 100.
        quality: u8,
        /// rav1e's preset, from 0 (slow) to 10 (fast).
        speed: u8,
    },
    /// JPEG 2000 in a JP2 file, with all of the colour's resolution (4:4:4) and one layer.
    #[cfg(feature = "jpeg2000")]
    Jpeg2000 {
        /// The PSNR that is aimed at, from 1 to 100 dB.
        quality: u8,
    },
}

/// A file, and the picture that it shows where its encoder says so.
struct Encoded {
    file: Vec<u8>,
    shown: Option<Picture>,
}

fn refused(expected: &str, found: impl ToString) -> Error {
    Error::setting("picture", expected, found)
}

fn check_quality(quality: u8, least: u8) -> Result<()> {
    if (least..=100).contains(&quality) {
        return Ok(());
    }
    Err(Error::setting("quality", format!("{least} to 100"), quality))
}

impl Classic {
    /// Codec, encoder with its version, and subsampling, for legends.
    pub fn name(self) -> String {
        match self {
            Self::Jpeg { halves_color, .. } => {
                let sampling = if halves_color { "4:2:0" } else { "4:4:4" };
                format!("JPEG (jpeg-encoder 0.7.1, progressive, {sampling})")
            }
            Self::WebP { .. } => format!("WebP (libwebp {}, effort 4, 4:2:0)", webp_version()),
            #[cfg(feature = "avif")]
            Self::Avif { speed, .. } => {
                format!("AVIF (rav1e {}, speed {speed}, tuned for PSNR, 4:4:4, 10 bits)", avif::version())
            }
            #[cfg(feature = "jpeg2000")]
            Self::Jpeg2000 { .. } => {
                format!("JPEG 2000 (OpenJPEG {}, 9/7, aimed at a PSNR, 4:4:4)", jpeg2000::version())
            }
        }
    }

    /// The file of a picture.
    ///
    /// # Errors
    /// For a quality out of range, and a picture that the format has no place for.
    pub fn encode(self, picture: &Picture) -> Result<Vec<u8>> {
        Ok(self.encoded(picture)?.file)
    }

    fn encoded(self, picture: &Picture) -> Result<Encoded> {
        let file = match self {
            Self::Jpeg { quality, halves_color } => jpeg(picture, quality, halves_color)?,
            Self::WebP { quality } => {
                check_quality(quality, 0)?;
                let longest = picture.width().max(picture.height());
                if longest > 16_383 {
                    return Err(refused("at most 16,383 pixels a side", longest));
                }
                webp(picture, f32::from(quality))
                    .ok_or_else(|| refused("a picture that WebP takes", longest))?
            }
            #[cfg(feature = "avif")]
            Self::Avif { quality, speed } => return avif::encode(picture, quality, speed),
            #[cfg(feature = "jpeg2000")]
            Self::Jpeg2000 { quality } => jpeg2000::encode(picture, quality)?,
        };
        Ok(Encoded { file, shown: None })
    }

    fn decode(self, file: &[u8]) -> Result<Picture> {
        #[cfg(feature = "jpeg2000")]
        if let Self::Jpeg2000 { .. } = self {
            return jpeg2000::decode(file);
        }
        let wrong = |e: &dyn ToString| Error::setting("the encoder's file", "a picture", e.to_string());
        let reader = ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(|e| wrong(&e))?;
        let rgb = reader.decode().map_err(|e| wrong(&e))?.into_rgb8();
        Picture::new(rgb.width() as usize, rgb.height() as usize, rgb.into_raw())
    }
}

fn jpeg(picture: &Picture, quality: u8, halves_color: bool) -> Result<Vec<u8>> {
    check_quality(quality, 1)?;
    let [Ok(width), Ok(height)] = [picture.width(), picture.height()].map(u16::try_from) else {
        return Err(refused("at most 65,535 pixels a side", picture.width().max(picture.height())));
    };
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, quality);
    encoder.set_progressive(true);
    encoder.set_optimized_huffman_tables(true);
    encoder.set_sampling_factor(if halves_color { SamplingFactor::F_2_2 } else { SamplingFactor::F_1_1 });
    let encoded = encoder.encode(picture.rgb(), width, height, ColorType::Rgb);
    encoded.map_err(|e| refused("a picture that JPEG takes", e))?;
    Ok(file)
}

/// The version of the library, which its encoder says.
fn webp_version() -> String {
    // SAFETY: takes nothing and gives a number.
    let version = unsafe { libwebp_sys::WebPGetEncoderVersion() };
    let [_, major, minor, patch] = version.to_be_bytes();
    format!("{major}.{minor}.{patch}")
}

/// A lossy WebP file, with the library's defaults; none where it fails.
fn webp(picture: &Picture, quality: f32) -> Option<Vec<u8>> {
    let [width, height, stride] = [picture.width(), picture.height(), 3 * picture.width()].map(i32::try_from);
    let (width, height, stride) = (width.ok()?, height.ok()?, stride.ok()?);
    let mut file = std::ptr::null_mut();
    // SAFETY: the samples are `height` rows of `stride` bytes, and `file` receives a buffer of the returned length, or none of length 0.
    let n = unsafe {
        libwebp_sys::WebPEncodeRGB(picture.rgb().as_ptr(), width, height, stride, quality, &raw mut file)
    };
    if file.is_null() || n == 0 {
        return None;
    }
    // SAFETY: as above; it is copied before it is freed, once.
    let copy = unsafe { std::slice::from_raw_parts(file, n) }.to_vec();
    // SAFETY: the library allocated it, and nothing refers to it.
    unsafe { libwebp_sys::WebPFree(file.cast()) };
    Some(copy)
}

impl PictureCodec for Classic {
    fn code(&self, picture: &Picture) -> Result<Coding> {
        let start = Instant::now();
        let Encoded { file, shown } = self.encoded(picture)?;
        let encoding_secs = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let (picture, decoding_secs) = match shown {
            Some(shown) => (shown, None),
            None => (self.decode(&file)?, Some(start.elapsed().as_secs_f64())),
        };
        let n = file.len();
        Ok(Coding {
            n_string_bytes: n,
            n_file_bytes: n,
            estimated_bits: None,
            picture,
            encoding_secs,
            decoding_secs,
        })
    }
}
