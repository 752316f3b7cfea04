//! Picture files in: what a codec of opaque RGB cannot keep is refused, converted as asked, or noted.

use std::path::Path;

use grouping_core::image::{Decoded, Orientation, decode_image};
use image::DynamicImage;
use serde::Serialize;

use super::Picture;
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
    /// Samples of more than 8 bits, scaled and rounded to 8.
    Bits,
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ColorProfile => write!(f, "its colour profile (ICC) is left out of account"),
            Self::Gamma { gamma } => write!(f, "its gamma (gAMA) of {gamma} is left out of account"),
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
    let samples = image.to_rgba8();
    let through = samples.pixels().position(|pixel| pixel[3] != 255);
    let ground = match (through, transparency) {
        (None, _) => [0; 3],
        (Some(_), Transparency::Over(ground)) => ground,
        (Some(at), Transparency::Refuse) => {
            let (x, y) = (at as u32 % samples.width(), at as u32 / samples.width());
            let alpha = samples.get_pixel(x, y)[3];
            let found = format!("alpha {alpha} at column {x}, row {y}");
            return Err(Error::format(
                path,
                "transparency",
                "opaque pixels, or a background to lay them over",
                found,
            ));
        }
    };
    let over = |v: u8, ground: u8, alpha: u8| {
        let [v, ground, alpha] = [v, ground, alpha].map(u32::from);
        ((v * alpha + ground * (255 - alpha) + 127) / 255) as u8
    };
    Ok(image::RgbImage::from_fn(samples.width(), samples.height(), |x, y| {
        let image::Rgba([r, g, b, alpha]) = *samples.get_pixel(x, y);
        image::Rgb([over(r, ground[0], alpha), over(g, ground[1], alpha), over(b, ground[2], alpha)])
    }))
}
