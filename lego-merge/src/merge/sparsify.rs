//! Keeping a share of a tensor's values: the largest (TIES, arXiv 2306.01708) or a random choice, rescaled (DARE,
//! arXiv 2311.03099).

use grouping_core::seed::sequence;
use grouping_core::simd::{Lanes, Level, dispatch};
use grouping_core::stats::magnitude::{kth_largest, magnitude_bits};

use crate::{Error, Result};

/// The share of values that is kept, above 0; at 1 and beyond every value is kept, as in PEFT.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Density(f64);

impl Density {
    /// The share `density`.
    ///
    /// # Errors
    /// [`grouping_core::Error::Setting`] unless it is a finite number above 0.
    pub fn new(density: f64) -> Result<Self> {
        if density.is_finite() && density > 0.0 {
            return Ok(Self(density));
        }
        Err(Error::setting("density", "a share above 0, such as 0.5", density))
    }

    /// The share.
    pub fn get(self) -> f64 {
        self.0
    }

    /// How many of `n` values are kept.
    pub(super) fn of(self, n: usize) -> usize {
        ((self.0 * n as f64) as usize).min(n)
    }
}

/// Zeroes all but the largest `⌊density·n⌋` values by magnitude; of equal ones the first are kept.
pub(super) fn keep_largest(values: &mut [f32], density: Density) {
    let n_kept = density.of(values.len());
    if n_kept == values.len() {
        return;
    }
    let Some(least) = kth_largest(values, n_kept) else {
        values.fill(0.0);
        return;
    };
    // Of those equal to the least, as many as there is room for.
    let mut room = least.n_equal_wanted;
    if room == least.n_equal {
        values.iter_mut().for_each(|v| *v = if magnitude_bits(*v) < least.bits { 0.0 } else { *v });
        return;
    }
    for v in values {
        let m = magnitude_bits(*v);
        if m < least.bits || (m == least.bits && room == 0) {
            *v = 0.0;
        } else if m == least.bits {
            room -= 1;
        }
    }
}

/// Keeps each value with probability `density`, divided by it, and zeroes the others; at a density of 1 and beyond, nothing
/// happens.
pub(super) fn drop_and_rescale(values: &mut [f32], density: Density, seed: u64) {
    if density.get() >= 1.0 {
        return;
    }
    let below = (density.get() * 2f64.powi(32)) as u64;
    drop_values(Level::detect(), values, below, density.get() as f32, seed);
}

dispatch!(drop_values = drop_kernel(values: &mut [f32], below: u64, density: f32, seed: u64));

#[inline(always)]
fn drop_kernel<L: Lanes>(values: &mut [f32], below: u64, density: f32, seed: u64) {
    for (i, v) in values.iter_mut().enumerate() {
        let kept = *v / density;
        *v = if sequence(seed, i as u64) >> 32 < below { kept } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(values: &[f32], density: f64) -> Vec<f32> {
        let mut values = values.to_vec();
        keep_largest(&mut values, Density::new(density).expect("a density"));
        values
    }

    #[test]
    fn the_largest_are_kept_and_of_equal_ones_the_first() {
        assert_eq!(kept(&[1., -3., 2., 0.5], 0.5), [0., -3., 2., 0.], "the sign does not matter");
        assert_eq!(kept(&[1., -1., 1., 2.], 0.75), [1., -1., 0., 2.], "the first two of three equal ones");
        assert_eq!(kept(&[1., 2., 3.], 0.5), [0., 0., 3.], "the number of kept values is rounded down");
        assert_eq!(kept(&[1., 2., 3.], 0.1), [0.; 3], "to none, if need be");
        assert_eq!(kept(&[0., 0., 0., 1.], 0.5), [0., 0., 0., 1.], "zeros are values, too");
        assert_eq!(kept(&[1., 2.], 1.5), [1., 2.], "beyond 1 all are kept");
    }

    #[test]
    fn the_random_share_is_the_density_and_keeps_the_mean() {
        let density = Density::new(0.3).expect("a density");
        let n = 100_000;
        let mut values = vec![1f32; n];
        drop_and_rescale(&mut values, density, 7);
        let n_kept = values.iter().filter(|&&v| v != 0.0).count() as f64;
        // Five standard deviations of a binomial.
        let spread = 5.0 * (n as f64 * 0.3 * 0.7).sqrt();
        assert!((n_kept - 0.3 * n as f64).abs() < spread, "{n_kept} of {n} kept at 0.3");
        assert!(values.iter().all(|&v| v == 0.0 || v == 1.0 / 0.3), "kept values are divided by the density");
        let mut again = vec![1f32; n];
        drop_and_rescale(&mut again, density, 7);
        assert_eq!(values, again, "one seed, one choice");
        drop_and_rescale(&mut again, density, 8);
        let n_both = again.iter().filter(|&&v| v != 0.0).count() as f64;
        assert!((n_both - 0.09 * n as f64).abs() < spread, "another seed chooses independently: {n_both}");
    }

    #[test]
    fn a_density_is_a_share_above_zero() {
        for bad in [0.0, -0.5, f64::NAN, f64::INFINITY] {
            let error = Density::new(bad).expect_err("refused");
            assert!(error.to_string().contains("density"), "{error}");
        }
    }
}
