//! Synthesis: from latents in integers to the picture's bytes.

use std::ops::Range;

use super::build::{Builder, PICTURE_BITS, PIXELS};
use super::grid::Grid;
use super::kernel::Form;
use super::network::Network;
use crate::checkpoint::{Checkpoint, Design};
use crate::{Error, Result};

/// Pixels of a picture that are computed at once: they bound the memory, and change no byte.
const BAND_PIXELS: usize = 1 << 18;
/// Fewest and most rows of a band: neighbours both compute the rows between them.
const BAND_ROWS: [usize; 2] = [64, 256];

/// A synthesis in integers: `g_s`.
///
/// ```
/// use iscs_lic::checkpoint::Checkpoint;
/// use iscs_lic::fixed::Synthesis;
///
/// let synthesis = Synthesis::load(&Checkpoint::default_model()?)?;
/// let picture = synthesis.picture(&vec![0; 64], 1, 1)?;
/// assert_eq!(picture.len(), 16 * 16 * 3);
/// # Ok::<(), iscs_lic::Error>(())
/// ```
#[derive(Debug)]
pub struct Synthesis {
    network: Network,
    n_latents: usize,
    form: Form,
    band_rows: Option<usize>,
}

impl Synthesis {
    /// The synthesis of a checkpoint.
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`], and for weights beyond what the integers hold.
    pub fn load(checkpoint: &Checkpoint) -> Result<Self> {
        let network = Builder::new(checkpoint, PIXELS).picture_network("g_s")?;
        Ok(Self { network, n_latents: checkpoint.m(), form: Form::detect(), band_rows: None })
    }

    /// The same network, computed in another form: for tests, since every form gives the same bytes.
    #[must_use]
    pub fn with_form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// The same network, computed in bands of so many rows, at least 1: for tests, since every band gives the same bytes.
    #[must_use]
    pub fn with_band_rows(self, band_rows: usize) -> Self {
        Self { band_rows: Some(band_rows.max(1)), ..self }
    }

    /// The picture, interleaved RGB, of latents `[M, height, width]` with 12 fractional bits; its sides are 16 times theirs.
    ///
    /// # Errors
    /// Another number of latents, or none.
    pub fn picture(&self, latents: &[i32], width: usize, height: usize) -> Result<Vec<u8>> {
        let [width_of_picture, height_of_picture] = [width, height].map(|side| side * Design::Y_STRIDE);
        self.crop(latents, width, height, 0..width_of_picture, 0..height_of_picture)
    }

    /// Columns and rows of [`Self::picture`].
    ///
    /// # Errors
    /// As there, and for columns and rows that are not in it.
    pub fn crop(
        &self,
        latents: &[i32],
        width: usize,
        height: usize,
        columns: Range<usize>,
        rows: Range<usize>,
    ) -> Result<Vec<u8>> {
        let n = self.n_latents * width * height;
        if latents.len() != n || n == 0 {
            return Err(Error::coding("latents", format!("{n}, at least one"), latents.len()));
        }
        let sides = [width, height].map(|side| self.network.out_len(side));
        for (range, side) in [&columns, &rows].into_iter().zip(sides) {
            if range.start > range.end || range.end > side {
                return Err(Error::coding(
                    "rows and columns",
                    format!("within 0..{side}"),
                    format!("{range:?}"),
                ));
            }
        }
        let input = Grid::from_planes(self.n_latents, width, height, latents);
        let [least, most] = BAND_ROWS;
        let band_rows = self.band_rows.unwrap_or((BAND_PIXELS / sides[0]).clamp(least, most));
        let mut bytes = Vec::with_capacity(rows.len() * columns.len() * 3);
        for first in rows.clone().step_by(band_rows) {
            let band = first..(first + band_rows).min(rows.end);
            let band = self.network.run(self.form, &input, &band);
            for line in band.values.chunks_exact(band.row_len()) {
                bytes.extend(line[columns.start * 3..columns.end * 3].iter().map(|&v| byte(v)));
            }
        }
        Ok(bytes)
    }
}

/// `clamp(v / 2¹⁶, 0, 1) · 255`, halves to even.
#[inline(always)]
fn byte(v: i32) -> u8 {
    let scaled = v.clamp(0, 1 << PICTURE_BITS) * 255;
    let (whole, rest) = (scaled >> PICTURE_BITS, scaled & ((1 << PICTURE_BITS) - 1));
    let half = 1 << (PICTURE_BITS - 1);
    (whole + i32::from(rest > half || (rest == half && whole % 2 == 1))) as u8
}

#[cfg(test)]
mod tests {
    use super::byte;

    #[test]
    fn bytes_round_halves_to_even() {
        assert_eq!((byte(-1), byte(0), byte(65_536), byte(70_000)), (0, 0, 255, 255), "the ends");
        for v in 0..=65_536 {
            let exact = f64::from(v) * 255.0 / 65_536.0;
            assert_eq!(f64::from(byte(v)), exact.round_ties_even(), "{v}");
        }
    }
}
