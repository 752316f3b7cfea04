//! Integers split into signed 16-bit halves, in pairs of channels, with zeros around: what the inner loop multiplies.
//!
//! `v = high · 2¹⁶ + low` with −2¹⁵ ≤ low < 2¹⁵. Most high halves are zero; a flag for each pair of channels and row says where
//! they are not, so that only those are multiplied.

use std::ops::Range;

use rayon::prelude::*;

use super::grid::Grid;
use super::kernel::Pair;

/// `v` as `(low, high)`.
#[inline(always)]
fn halves(v: i32) -> (i16, i16) {
    let low = v as i16;
    (low, ((v - i32::from(low)) >> 16) as i16)
}

/// Splits the values of pixels, `[pixels, channels]`, into `low` and `high`, `[pixels, pairs]`, and adds to the flags of pairs.
pub(crate) fn split(
    values: &[i32],
    channels: usize,
    low: &mut [Pair],
    high: &mut [Pair],
    active: &mut [bool],
) {
    let pairs = channels.div_ceil(2);
    let halves_of = values.chunks_exact(channels).zip(low.chunks_exact_mut(pairs));
    for ((values, low), high) in halves_of.zip(high.chunks_exact_mut(pairs)) {
        let (whole, odd) = values.as_chunks::<2>();
        let mut any = 0;
        for ((&[a, b], low), high) in whole.iter().zip(low.iter_mut()).zip(high.iter_mut()) {
            let ((a_low, a_high), (b_low, b_high)) = (halves(a), halves(b));
            *low = [a_low, b_low];
            *high = [a_high, b_high];
            any |= a_high | b_high;
        }
        if let &[last] = odd {
            let (a_low, a_high) = halves(last);
            low[pairs - 1] = [a_low, 0];
            high[pairs - 1] = [a_high, 0];
            any |= a_high;
        }
        if any != 0 {
            active.iter_mut().zip(&*high).for_each(|(active, &high)| *active |= high != [0, 0]);
        }
    }
}

/// The halves of a band of rows, with rows and columns of zeros around.
#[derive(Debug)]
pub(crate) struct Limbs {
    pub(crate) pairs: usize,
    /// Pixels of a row, with its margins.
    pub(crate) pitch: usize,
    /// Columns of zeros at the left.
    pub(crate) left: usize,
    /// The first row, of the whole tensor; −1 is the row of zeros above it.
    pub(crate) first: isize,
    pub(crate) low: Vec<Pair>,
    pub(crate) high: Vec<Pair>,
    /// `[rows, pairs]`: whether a high half is not zero.
    pub(crate) active: Vec<bool>,
}

impl Limbs {
    /// The rows `rows` of `grid`, which may lie outside of it, with `left` and `right` columns of zeros.
    pub(crate) fn new(grid: &Grid, rows: Range<isize>, left: usize, right: usize) -> Self {
        let (pairs, pitch) = (grid.channels.div_ceil(2), left + grid.width + right);
        let row_len = pitch * pairs;
        let n_rows = rows.len();
        let mut limbs = Self {
            pairs,
            pitch,
            left,
            first: rows.start,
            low: vec![[0; 2]; n_rows * row_len],
            high: vec![[0; 2]; n_rows * row_len],
            active: vec![false; n_rows * pairs],
        };
        let inside = left * pairs..(left + grid.width) * pairs;
        let low = limbs.low.par_chunks_exact_mut(row_len.max(1));
        let high = limbs.high.par_chunks_exact_mut(row_len.max(1));
        let flags = limbs.active.par_chunks_exact_mut(pairs.max(1));
        low.zip(high).zip(flags).enumerate().for_each(|(i, ((low, high), flags))| {
            let y = rows.start + i as isize;
            if (0..grid.height as isize).contains(&y) {
                let values = grid.row(y as usize);
                split(values, grid.channels, &mut low[inside.clone()], &mut high[inside.clone()], flags);
            }
        });
        limbs
    }

    /// The flags of row `y`.
    pub(crate) fn active(&self, y: isize) -> &[bool] {
        &self.active[(y - self.first) as usize * self.pairs..][..self.pairs]
    }

    /// Where column `x` of row `y` lies; column −1 is the first one left of the tensor.
    pub(crate) fn at(&self, y: isize, x: isize) -> usize {
        ((y - self.first) as usize * self.pitch + (x + self.left as isize) as usize) * self.pairs
    }
}

#[cfg(test)]
mod tests {
    use super::super::grid::Grid;
    use super::{Limbs, halves};

    #[test]
    fn halves_make_the_value() {
        for v in [0, 1, -1, 32_767, 32_768, -32_768, -32_769, 65_535, 8_388_607, -8_388_607, 0x7FFF_7FFF] {
            let (low, high) = halves(v);
            assert_eq!((i32::from(high) << 16) + i32::from(low), v, "{v}");
        }
    }

    #[test]
    fn zeros_surround_a_band() {
        let grid = Grid::from_planes(3, 2, 2, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 100_000]);
        let limbs = Limbs::new(&grid, -1..3, 1, 2);
        assert_eq!((limbs.pairs, limbs.pitch), (2, 5), "pairs of 3 channels, pixels of a row");
        assert_eq!(limbs.low[limbs.at(1, 1)..][..2], [[4, 8], [-31_072, 0]], "the last pixel");
        assert_eq!(limbs.high[limbs.at(1, 1)..][..2], [[0, 0], [2, 0]], "and its high half");
        assert_eq!(limbs.active(1), [false, true], "its flags");
        assert_eq!(limbs.active(0), [false, false], "those of the row above");
        assert!(limbs.low[..limbs.at(-1, 3) + 2].iter().all(|&pair| pair == [0, 0]), "the row above all");
    }
}
