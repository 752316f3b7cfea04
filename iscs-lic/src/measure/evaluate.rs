//! A codec on a folder of pictures: real bytes, PSNR, MS-SSIM and times, a picture at a time and on the mean.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{ms_ssim, psnr};
use crate::picture::{Note, Picture, ReadOptions};
use crate::{Error, Result};

/// What codes pictures: a network with its options, or a classic encoder at a quality.
pub trait PictureCodec {
    /// Codes a picture and decodes it again.
    ///
    /// # Errors
    /// If it cannot be coded.
    fn code(&self, picture: &Picture) -> Result<Coding>;
}

/// A picture, coded and decoded.
#[derive(Debug, Clone)]
pub struct Coding {
    /// Bytes of the entropy-coded strings, without their container; of the whole file for classic codecs.
    pub n_string_bytes: usize,
    /// Bytes of the file.
    pub n_file_bytes: usize,
    /// Bits by the likelihoods that the model gives its symbols, where they were asked for.
    pub estimated_bits: Option<f64>,
    /// What was decoded.
    pub picture: Picture,
    /// Seconds to encode.
    pub encoding_secs: f64,
    /// Seconds to decode; none where the encoder says what a decoder would show.
    pub decoding_secs: Option<f64>,
}

/// The measures of one picture, or their means.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measures {
    /// Bits a pixel of the strings, as CompressAI counts them.
    pub bpp: f64,
    /// Bits a pixel of the file.
    #[serde(rename = "file-bpp")]
    pub file_bpp: f64,
    /// Bits a pixel by likelihoods.
    #[serde(rename = "estimated-bpp", skip_serializing_if = "Option::is_none")]
    pub estimated_bpp: Option<f64>,
    /// In dB; none for a picture that was kept exactly, and for a mean with one.
    #[serde(rename = "psnr-rgb")]
    pub psnr: Option<f64>,
    /// None for a side below 161 pixels, and for a mean with one.
    #[serde(rename = "ms-ssim-rgb")]
    pub ms_ssim: Option<f64>,
    /// Seconds to encode.
    #[serde(rename = "encoding_time")]
    pub encoding_secs: f64,
    /// Seconds to decode; none without a decoder.
    #[serde(rename = "decoding_time")]
    pub decoding_secs: Option<f64>,
}

/// One picture's measures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfPicture {
    /// The file.
    pub source: PathBuf,
    /// What was measured.
    #[serde(flatten)]
    pub measures: Measures,
}

/// A codec's measures on several pictures.
#[derive(Debug, Default)]
pub struct Evaluation {
    /// Those that were coded, in order.
    pub pictures: Vec<OfPicture>,
    /// Those that were not, and why.
    pub failed: Vec<(PathBuf, Error)>,
    /// What files say and was not kept.
    pub notes: Vec<(PathBuf, Note)>,
}

impl Measures {
    /// Of a picture and what its codec made of it.
    ///
    /// # Errors
    /// If the sizes differ.
    pub fn of(picture: &Picture, coding: &Coding) -> Result<Self> {
        let decoded = &coding.picture;
        if (picture.width(), picture.height()) != (decoded.width(), decoded.height()) {
            let expected = format!("{}×{}", picture.width(), picture.height());
            let found = format!("{}×{}", decoded.width(), decoded.height());
            return Err(Error::setting("the decoded picture", expected, found));
        }
        let bpp = |bits: f64| bits / (picture.width() * picture.height()) as f64;
        Ok(Self {
            bpp: bpp(coding.n_string_bytes as f64 * 8.0),
            file_bpp: bpp(coding.n_file_bytes as f64 * 8.0),
            estimated_bpp: coding.estimated_bits.map(bpp),
            psnr: psnr(picture, decoded),
            ms_ssim: ms_ssim(picture, decoded),
            encoding_secs: coding.encoding_secs,
            decoding_secs: coding.decoding_secs,
        })
    }
}

/// Codes each file; those that cannot be read or coded are kept with the reason. `done` is called after each.
pub fn evaluate(
    codec: &dyn PictureCodec,
    files: &[PathBuf],
    options: &ReadOptions,
    mut done: impl FnMut(&Path),
) -> Evaluation {
    let mut all = Evaluation::default();
    for path in files {
        let measured = Picture::read(path, options).and_then(|(picture, notes)| {
            all.notes.extend(notes.into_iter().map(|note| (path.clone(), note)));
            Measures::of(&picture, &codec.code(&picture)?)
        });
        match measured {
            Ok(measures) => all.pictures.push(OfPicture { source: path.clone(), measures }),
            Err(error) => all.failed.push((path.clone(), error)),
        }
        done(path);
    }
    all
}

impl Evaluation {
    /// The means over the pictures, each counted once whatever its size; none without pictures.
    pub fn mean(&self) -> Option<Measures> {
        let n = self.pictures.len() as f64;
        let mean =
            |value: fn(&Measures) -> f64| self.pictures.iter().map(|p| value(&p.measures)).sum::<f64>() / n;
        let mean_of_all = |value: fn(&Measures) -> Option<f64>| -> Option<f64> {
            let values: Option<Vec<f64>> = self.pictures.iter().map(|p| value(&p.measures)).collect();
            values.map(|values| values.iter().sum::<f64>() / n)
        };
        (!self.pictures.is_empty()).then(|| Measures {
            bpp: mean(|m| m.bpp),
            file_bpp: mean(|m| m.file_bpp),
            estimated_bpp: mean_of_all(|m| m.estimated_bpp),
            psnr: mean_of_all(|m| m.psnr),
            ms_ssim: mean_of_all(|m| m.ms_ssim),
            encoding_secs: mean(|m| m.encoding_secs),
            decoding_secs: mean_of_all(|m| m.decoding_secs),
        })
    }
}
