//! Tables of zero-mean Gaussians, one a scale (`GaussianConditional.update` of CompressAI).
//!
//! A table of scale s holds the integers from −c to c, c = ⌈s·Φ⁻¹(1 − ½·10⁻⁹)⌉, and an escape for all others. The integer k has
//! Φ((½ − |k|)/s) − Φ((−½ − |k|)/s), with Φ(x) = ½·erfc(−x/√2).
//!
//! CompressAI computes in `f32`. Here each of its operations is rounded to `f32` too, and erfc is that of [`special`](super::special) rounded once.

use super::cumulative::cumulative_counts;
use super::special::{erfc, normal_quantile};
use super::tables::Tables;
use crate::{Error, Result};

/// What lies outside the integers of a table, on both sides together.
const TAIL: f64 = 1e-9;

/// Φ of CompressAI in `f32`.
fn cumulative(x: f32) -> f32 {
    0.5 * (erfc(f64::from(-std::f32::consts::FRAC_1_SQRT_2 * x)) as f32)
}

/// How likely a Gaussian value of mean 0 and deviation 1 lies between two bounds: Φ(to) − Φ(from).
///
/// ```
/// use iscs_lic::coder::normal_interval;
///
/// assert!((normal_interval(-1.0, 1.0) - 0.682_689_492_137_085_9).abs() < 1e-15);
/// ```
pub fn normal_interval(from: f64, to: f64) -> f64 {
    let below = |x: f64| 0.5 * erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
    below(to) - below(from)
}

impl Tables {
    /// One table a scale, equal to CompressAI's.
    ///
    /// ```
    /// use iscs_lic::coder::{SCALES, Tables};
    ///
    /// let tables = Tables::gaussian(&SCALES)?;
    /// assert_eq!(tables.row(0), [0, 1, 65_534, 65_535, 65_536]);
    /// assert_eq!((tables.offset(0), tables.offset(63)), (-1, -1565));
    /// # Ok::<(), iscs_lic::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Coding`] for no scale, and for one that is not positive or so large that its table has no room.
    pub fn gaussian(scales: &[f32]) -> Result<Self> {
        let multiplier = -normal_quantile(TAIL / 2.0) as f32;
        let mut rows = Vec::with_capacity(scales.len());
        for &scale in scales {
            let center = (scale * multiplier).ceil();
            if !(scale > 0.0 && center < 32_767.0) {
                return Err(Error::coding("scale of a table", "a positive number below 5,363", scale));
            }
            let center = center as i32;
            let pmf = |k: i32| {
                let distance = k.abs() as f32;
                let lower = cumulative((-0.5 - distance) / scale);
                (cumulative((0.5 - distance) / scale) - lower, lower)
            };
            // Symmetric: one side is computed.
            let side: Vec<f32> = (0..=center).map(|k| pmf(k).0).collect();
            let mut probabilities: Vec<f32> = side.iter().rev().chain(&side[1..]).copied().collect();
            probabilities.push(2.0 * pmf(center).1);
            rows.push((cumulative_counts(&probabilities)?, -center));
        }
        Self::from_rows(rows)
    }
}
