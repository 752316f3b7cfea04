//! Picture files in: what a codec of opaque RGB cannot keep is refused, converted as asked, or noted.

use std::path::Path;

use grouping_core::image::{Decoded, Orientation, decode_image};
use image::DynamicImage;
use serde::Serialize;

use super::Picture;
use super::beside::{CodePoints, beside};
use crate::{Error, Result};

/// What becomes of pixels that are not opaque.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transparency {
    /// A file with such a pixel is refused: the colours that transparent pixels hide would be coded.
    #[default]
    Refuse,
    /// They are laid over this colour.
    Over([u8; 3]),
}

/// How a picture file is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReadOptions {
    /// What becomes of pixels that are not opaque.
    pub transparency: Transparency,
    /// Whether pixels stay as they are stored, as CompressAI reads them, although the file says how a camera was held.
    pub as_stored: bool,
}

/// What a file says and a codec of plain RGB does not keep.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "note")]
#[non_exhaustive]
pub enum Note {
    /// A colour profile, which is left out of account.
    ColorProfile,
    /// A gamma other than that of screens, which is left out of account.
    Gamma {
        /// The exponent in the file.
        gamma: f64,
    },
    /// Colours by code points (cICP) that are not those of sRGB, which are left out of account.
    CodePoints {
        /// Of the primaries, by ITU-T H.273.
        primaries: u8,
        /// Of the transfer function, by ITU-T H.273.
        transfer: u8,
    },
    /// An animation, of which one picture is read.
    Animation,
    /// Samples of more than 8 bits, scaled and rounded to 8.
    Bits,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ColorProfile => write!(f, "its colour profile (ICC) is left out of account"),
            Self::Gamma { gamma } => write!(f, "its gamma (gAMA) of {gamma} is left out of account"),
            Self::CodePoints { primaries, transfer } => {
                write!(
                    f,
                    "its colours (cICP, primaries {primaries}, transfer {transfer}) are left out of account"
                )
            }
            Self::Animation => write!(f, "of its animation one picture is read"),
            Self::Bits => write!(f, "its samples are rounded to 8 bits"),
        }
    }
}

impl Picture {
    /// Reads a PNG, JPEG, WebP, TIFF, BMP or PNM file, with notes on what is not kept.
    ///
    /// Grey becomes RGB, CMYK is converted, samples of 16 bits are divided by 257 and rounded, and, unless `as_stored`, the picture is
    /// turned as the file says.
    ///
    /// # Errors
    /// For a file that is no such picture, and for pixels that are not opaque and are to be refused.
    pub fn read(path: &Path, options: &ReadOptions) -> Result<(Self, Vec<Note>)> {
        let orientation = if options.as_stored { Orientation::Stored } else { Orientation::Upright };
        let Decoded { image, has_profile, gamma, .. } = decode_image(path, orientation)?;
        let mut notes = Vec::new();
        if has_profile {
            notes.push(Note::ColorProfile);
        }
        // 1/2.2 as PNG stores it, and what rounds to it.
        notes.extend(
            gamma.filter(|gamma| (gamma - 1.0 / 2.2).abs() > 1e-3).map(|gamma| Note::Gamma { gamma }),
        );
        let beside = beside(path);
        notes.extend(
            beside
                .code_points
                .filter(|points| !points.is_srgb())
                .map(|CodePoints { primaries, transfer, .. }| Note::CodePoints { primaries, transfer }),
        );
        notes.extend(beside.is_animated.then_some(Note::Animation));
        if image.color().bytes_per_pixel() / image.color().channel_count() > 1 {
            notes.push(Note::Bits);
        }
        let rgb = if image.color().has_alpha() {
            opaque(path, &image, options.transparency)?
        } else {
            image.into_rgb8()
        };
        let [width, height] = [rgb.width(), rgb.height()].map(|side| side as usize);
        Ok((Self::new(width, height, rgb.into_raw())?, notes))
    }
}

/// Without its alpha channel.
fn opaque(path: &Path, image: &DynamicImage, transparency: Transparency) -> Result<image::RgbImage> {
    let (width, height) = (image.width(), image.height());
    let is_deep = image.color().bytes_per_pixel() / image.color().channel_count() > 1;
    let found = if is_deep {
        laid(image.to_rgba16().as_raw(), u16::MAX.into(), transparency)
    } else {
        laid(image.to_rgba8().as_raw(), u8::MAX.into(), transparency)
    };
    let rgb = found.map_err(|(at, found)| {
        let (x, y) = (at as u32 % width, at as u32 / width);
        let expected = "opaque pixels, or a background to lay them over";
        Error::format(path, "transparency", expected, format!("{found} at column {x}, row {y}"))
    })?;
    Ok(image::RgbImage::from_raw(width, height, rgb).expect("as many samples as pixels"))
}

/// RGB of 8 bits of `samples [pixels, 4]`, whose greatest value is `most`, laid over the ground that is asked for; or the first pixel that is
/// not opaque and is to be refused, with its alpha.
fn laid<S: Copy + Into<u64>>(
    samples: &[S],
    most: u64,
    transparency: Transparency,
) -> std::result::Result<Vec<u8>, (usize, String)> {
    let ground = match transparency {
        Transparency::Over(ground) => ground,
        Transparency::Refuse => {
            let alpha = |pixel: &[S]| -> u64 { pixel[3].into() };
            if let Some(at) = samples.chunks_exact(4).position(|pixel| alpha(pixel) != most) {
                return Err((at, format!("alpha {} of {most}", alpha(&samples[4 * at..]))));
            }
            [0; 3]
        }
    };
    // Steps of `most` in one of 8 bits.
    let step = most / 255;
    let over = |v: S, ground: u8, alpha: u64| {
        let whole = most * step;
        ((v.into() * alpha + u64::from(ground) * step * (most - alpha) + whole / 2) / whole) as u8
    };
    let pixel = |pixel: &[S]| [0, 1, 2].map(|c| over(pixel[c], ground[c], pixel[3].into()));
    Ok(samples.chunks_exact(4).flat_map(pixel).collect())
}
