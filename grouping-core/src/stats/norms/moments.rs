//! Mean and variance in one pass.

use super::Reduced;
use super::reduce::{Fold, fold_axes};
use crate::Result;

/// Values of a slice that form one part, joined to the rest by Chan's formula.
const PART: usize = 1024;

/// Count, mean and sum of squared deviations of the values seen so far.
///
/// ```
/// use grouping_core::stats::norms::Moments;
/// let mut left = Moments::default();
/// [2., 4.].iter().for_each(|&x| left.push(x));
/// let mut right = Moments::default();
/// right.push(9.);
/// let all = left.merge(&right);
/// assert_eq!((all.count(), all.mean(), all.variance(0)), (3, 5., 26. / 3.));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// Takes one more value.
    pub fn push(&mut self, x: f64) {
        self.count += 1;
        let delta = x - self.mean;
        self.mean += delta / self.count as f64;
        self.squares += delta * (x - self.mean);
    }

    /// The moments of both sets of values together.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        if self.count == 0 || other.count == 0 {
            return if self.count == 0 { *other } else { *self };
        }
        let count = self.count + other.count;
        let (n, n_self, n_other) = (count as f64, self.count as f64, other.count as f64);
        let delta = other.mean - self.mean;
        Self {
            count,
            mean: self.mean + delta * (n_other / n),
            squares: self.squares + other.squares + delta * delta * (n_self * n_other / n),
        }
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Their mean; NaN of none.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.mean }
    }

    /// `Σ (x − mean)² / (count − ddof)`: 0 for the population, 1 for the unbiased estimate; NaN unless more than `ddof`
    /// values were seen.
    pub fn variance(&self, ddof: u64) -> f64 {
        if self.count > ddof { self.squares / (self.count - ddof) as f64 } else { f64::NAN }
    }
}

impl Fold for Moments {
    fn push(&mut self, x: f32) {
        self.push(f64::from(x));
    }

    fn push_all(&mut self, values: &[f32]) {
        for part in values.chunks(PART) {
            let mut moments = Self::default();
            part.iter().for_each(|&x| moments.push(f64::from(x)));
            *self = self.merge(&moments);
        }
    }
}

/// Moments of `values`, an array of shape `shape`, over `axes` together.
///
/// # Errors
/// As [`norm`](super::norm).
///
/// ```
/// use grouping_core::stats::norms::moments;
/// let columns = moments(&[1., 5., 3., 9.], &[2, 2], &[0])?;
/// assert_eq!((columns.values[0].mean(), columns.values[1].variance(1)), (2., 8.));
/// # Ok::<(), grouping_core::Error>(())
/// ```
pub fn moments(values: &[f32], shape: &[usize], axes: &[usize]) -> Result<Reduced<Moments>> {
    fold_axes(values, shape, axes)
}
