//! From scales and means in integers to table rows and decoded latents: the integer form of CompressAI's `build_indexes`.

use super::grid::Grid;
use super::rounding::{FRACTION_BITS, LIMIT, power_of_two, saturate};
use crate::{Error, Result};

/// The table of scales as integers.
///
/// A scale `s / 2¹²` exceeds the entry t exactly where `s > ⌊t · 2¹²⌋`, so that comparing integers is comparing the numbers; equality goes
/// to the entry itself.
#[derive(Clone, Debug)]
pub(crate) struct Thresholds(Vec<i32>);

impl Thresholds {
    pub(crate) fn new(table: &[f32]) -> Result<Self> {
        let ascends = table.windows(2).all(|pair| pair[0] < pair[1]);
        let positive = table.first().is_some_and(|&first| first > 0.0) && table.iter().all(|t| t.is_finite());
        if !ascends || !positive || table.len() > usize::from(u16::MAX) {
            let expected = "1 to 65,535 positive scales, each above the one before";
            return Err(Error::coding("the table of scales", expected, format!("{table:?}")));
        }
        let integer = |&t: &f32| {
            let scaled = f64::from(t) * power_of_two(FRACTION_BITS as i32);
            if scaled < f64::from(LIMIT) { scaled as i32 } else { LIMIT }
        };
        Ok(Self(table[..table.len() - 1].iter().map(integer).collect()))
    }

    /// The table row of a scale.
    #[inline(always)]
    pub(crate) fn row(&self, scale: i32) -> u16 {
        self.0.partition_point(|&threshold| scale > threshold) as u16
    }

    /// The table rows of all scales of a grid, `[channels, rows, width]`.
    pub(crate) fn rows(&self, scales: &Grid) -> Vec<u16> {
        scales.planes(0..scales.channels).into_iter().map(|scale| self.row(scale)).collect()
    }
}

/// A symbol and what it is relative to, as an activation.
#[inline(always)]
pub(crate) fn dequantised(symbol: i32, mean: i32) -> i32 {
    saturate((i64::from(symbol) << FRACTION_BITS) + i64::from(mean))
}

#[cfg(test)]
mod tests {
    use super::{LIMIT, Thresholds, dequantised};

    #[test]
    fn a_scale_at_an_entry_takes_it() {
        let thresholds = Thresholds::new(&[0.11, 0.5, 1.0, 256.0]).expect("a table");
        let cases =
            [(-5, 0), (0, 0), (450, 0), (451, 1), (2048, 1), (2049, 2), (4096, 2), (4097, 3), (8_000_000, 3)];
        for (scale, row) in cases {
            assert_eq!(thresholds.row(scale), row, "{scale} / 4096");
        }
    }

    #[test]
    fn any_symbol_gives_an_activation() {
        assert_eq!(dequantised(3, -5), 12_283, "an ordinary one");
        assert_eq!(dequantised(i32::MAX, LIMIT), LIMIT, "the greatest");
        assert_eq!(dequantised(i32::MIN, 0), -LIMIT, "the least");
    }
}
