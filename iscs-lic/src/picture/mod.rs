//! Pictures: RGB of 8 bits, to and from the planes that networks read.

mod beside;
mod read;

use std::path::Path;

use grouping_core::files::output::Existing;
use grouping_core::image::write_png;
use image::RgbImage;

use crate::{Error, Result};

pub use read::{Note, ReadOptions, Transparency};

/// An RGB picture of 8 bits, at least one pixel wide and high.
///
/// ```
/// use iscs_lic::picture::Picture;
///
/// let picture = Picture::new(2, 1, vec![255, 0, 0, 0, 51, 255])?;
/// assert_eq!(picture.planes(), [1.0, 0.0, 0.0, 0.2, 0.0, 1.0]);
/// assert_eq!(Picture::from_planes(2, 1, &picture.planes())?, picture);
/// # Ok::<(), iscs_lic::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}×{})", self.width, self.height)
    }
}

impl Picture {
    /// Of `rgb [height, width, 3]`, row-major.
    ///
    /// # Errors
    /// For no pixels, or another number of samples than the size asks for.
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Result<Self> {
        let n = width.checked_mul(height).and_then(|n| n.checked_mul(3));
        if n != Some(rgb.len()) || rgb.is_empty() {
            let expected = format!("3 · {width} · {height} samples, and at least a pixel");
            return Err(Error::setting("rgb", expected, rgb.len()));
        }
        Ok(Self { width, height, rgb })
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Its samples `[height, width, 3]`.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Its middle, of `width` × `height` pixels; an odd pixel more is left out at the right and at the bottom.
    ///
    /// ```
    /// use iscs_lic::picture::Picture;
    ///
    /// let picture = Picture::new(4, 1, vec![0, 0, 0, 1, 2, 3, 4, 5, 6, 9, 9, 9])?;
    /// assert_eq!(picture.middle(2, 1)?.rgb(), [1, 2, 3, 4, 5, 6]);
    /// # Ok::<(), iscs_lic::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Core`] for more pixels than there are, or none.
    pub fn middle(&self, width: usize, height: usize) -> Result<Self> {
        if !(1..=self.width).contains(&width) || !(1..=self.height).contains(&height) {
            let expected = format!("a part of {}×{} pixels", self.width, self.height);
            return Err(Error::setting("crop", expected, format!("{width}×{height}")));
        }
        let [left, top] = [(self.width - width) / 2, (self.height - height) / 2];
        let row = |y: usize| {
            let from = ((top + y) * self.width + left) * 3;
            &self.rgb[from..from + width * 3]
        };
        Self::new(width, height, (0..height).flat_map(row).copied().collect())
    }

    /// As `[3, height, width]` between 0 and 1: each sample by 255.
    pub fn planes(&self) -> Vec<f32> {
        self.rows(0..self.height)
    }

    /// Some of its rows, as [`planes`](Self::planes): `[3, rows, width]`.
    ///
    /// # Panics
    /// If the picture has no such rows.
    pub fn rows(&self, rows: std::ops::Range<usize>) -> Vec<f32> {
        let pixels = &self.rgb[rows.start * self.width * 3..rows.end * self.width * 3];
        let plane = |channel: usize| pixels[channel..].iter().step_by(3).map(|&v| f32::from(v) / 255.0);
        (0..3).flat_map(plane).collect()
    }

    /// Of `planes [3, height, width]`: cut to 0…1, by 255, and rounded, halves to the even number, as CompressAI's `eval_model` does.
    ///
    /// # Errors
    /// For a value that is not finite, and those of [`new`](Self::new).
    pub fn from_planes(width: usize, height: usize, planes: &[f32]) -> Result<Self> {
        if let Some(at) = planes.iter().position(|v| !v.is_finite()) {
            let (what, value) = ("the picture's planes".into(), f64::from(planes[at]));
            return Err(grouping_core::Error::NotFinite { what, index: at, value }.into());
        }
        let n = planes.len() / 3;
        let mut rgb = vec![0; n * 3];
        for (channel, plane) in planes.chunks_exact(n.max(1)).take(3).enumerate() {
            let samples = plane.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round_ties_even() as u8);
            rgb.iter_mut().skip(channel).step_by(3).zip(samples).for_each(|(to, v)| *to = v);
        }
        Self::new(width, height, rgb)
    }

    /// Writes it as PNG; the file appears whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written, or is there already and `existing` keeps it.
    pub fn write_png(&self, path: &Path, existing: Existing) -> Result<()> {
        let [width, height] = [self.width, self.height].map(u32::try_from);
        let (Ok(width), Ok(height)) = (width, height) else {
            return Err(Error::format(
                path,
                "size",
                "at most 4,294,967,295 a side",
                self.width.max(self.height),
            ));
        };
        let image = RgbImage::from_raw(width, height, self.rgb.clone()).expect("as many samples as pixels");
        Ok(write_png(path, &image, existing)?)
    }
}
