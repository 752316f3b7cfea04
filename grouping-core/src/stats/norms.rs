//! Norms and moments along any axes of a row-major n-dimensional array, summed in `f64`.
//!
//! Norms are entrywise: the reduced axes count as one long vector, so `L2` over two axes is the Frobenius norm. NaN
//! anywhere in a group makes its result NaN; an empty group has norm 0.
//!
//! Moments are taken in one pass (Welford 1962): `m ← m + δ/n`, `M₂ ← M₂ + δ·(x − m)` with `δ = x − m_old`; parts are
//! joined by `Chan, Golub, LeVeque` (1983): `M₂ = M₂ᵃ + M₂ᵇ + δ²·n_a·n_b/n`.
//!
//! Shapes: `[..]` with axes `a` removed, in order; all axes → one value of shape `[]`.

mod moments;
mod reduce;
#[cfg(feature = "burn")]
mod tensor;

pub use moments::{Moments, moments};
#[cfg(feature = "burn")]
pub use tensor::norm_tensor;

use crate::{Error, Result};
use reduce::{Fold, fold_axes};

/// Which entrywise norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Norm {
    /// `Σ |x|`.
    L1,
    /// `√Σ x²`.
    L2,
    /// `max |x|`.
    LInf,
}

impl Norm {
    /// The Frobenius norm: [`Norm::L2`] over the two axes of a matrix.
    pub const FROBENIUS: Self = Self::L2;
}

/// One value a group: the array's shape without the reduced axes, and the values row after row.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Reduced<T> {
    /// The axes that remain.
    pub shape: Vec<usize>,
    /// One value for each of their positions.
    pub values: Vec<T>,
}

/// Norms of `values`, an array of shape `shape`, over `axes` together.
///
/// # Errors
/// [`Error::Shape`] when the shape does not hold `values`, [`Error::Setting`] for an axis that is not there or named
/// twice.
///
/// ```
/// use grouping_core::stats::norms::{Norm, norm};
/// let x = [3., -4., 0., 1.]; // [2, 2]
/// assert_eq!(norm(&x, &[2, 2], &[1], Norm::L2)?.values, [5., 1.]);
/// assert_eq!(norm(&x, &[2, 2], &[0], Norm::LInf)?.values, [3., 4.]);
/// assert_eq!(norm(&x, &[2, 2], &[0, 1], Norm::L1)?.values, [8.]);
/// # Ok::<(), grouping_core::Error>(())
/// ```
pub fn norm(values: &[f32], shape: &[usize], axes: &[usize], norm: Norm) -> Result<Reduced<f64>> {
    match norm {
        Norm::L1 => Ok(fold_axes::<AbsoluteSum>(values, shape, axes)?.map(|s| s.0)),
        Norm::L2 => Ok(fold_axes::<SquareSum>(values, shape, axes)?.map(|s| s.0.sqrt())),
        Norm::LInf => Ok(fold_axes::<Greatest>(values, shape, axes)?.map(|s| f64::from(s.0))),
    }
}

impl<T> Reduced<T> {
    fn map<U>(self, f: impl FnMut(T) -> U) -> Reduced<U> {
        Reduced { shape: self.shape, values: self.values.into_iter().map(f).collect() }
    }
}

/// Independent partial sums of a slice: shorter chains of additions are both faster and more accurate.
const LANES: usize = 8;

fn sum_by_lanes(values: &[f32], term: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [0f64; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for chunk in whole {
        lanes.iter_mut().zip(chunk).for_each(|(s, &v)| *s += term(f64::from(v)));
    }
    lanes.iter_mut().zip(rest).for_each(|(s, &v)| *s += term(f64::from(v)));
    lanes.iter().sum()
}

#[derive(Clone, Default)]
struct AbsoluteSum(f64);

impl Fold for AbsoluteSum {
    fn push(&mut self, x: f32) {
        self.0 += f64::from(x.abs());
    }
    fn push_all(&mut self, values: &[f32]) {
        self.0 += sum_by_lanes(values, f64::abs);
    }
}

#[derive(Clone, Default)]
struct SquareSum(f64);

impl Fold for SquareSum {
    fn push(&mut self, x: f32) {
        self.0 += f64::from(x) * f64::from(x);
    }
    fn push_all(&mut self, values: &[f32]) {
        self.0 += sum_by_lanes(values, |v| v * v);
    }
}

#[derive(Clone, Default)]
struct Greatest(f32);

impl Fold for Greatest {
    fn push(&mut self, x: f32) {
        // A comparison with NaN is false, so a NaN once taken is never replaced.
        if x.abs() > self.0 || x.is_nan() {
            self.0 = x.abs();
        }
    }
}

fn axes_error(expected: String, found: &[usize]) -> Error {
    Error::Setting { name: "axes".into(), expected, found: format!("{found:?}") }
}
