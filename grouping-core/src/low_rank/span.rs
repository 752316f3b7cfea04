//! Projections onto the span of some of the units, by inner products alone.
//!
//! With `R` the units that span, `P = G[:, R]·G[R, R]⁺·G[R, :]` holds the inner products of all units' projections. It is
//! summed as a pivoted Cholesky factorisation `Σ c·cᵀ`: each step takes the unit of `R` of which the greatest share lies
//! outside the span so far, and stops where that share is rounding. Cost `O(n²·rank)`.

use std::ops::Range;

use super::Gram;
use crate::Result;

/// Share of a unit's squared length outside a span below which it counts as inside: units in `f32` lie about 1e-14 off.
const INSIDE: f64 = 1e-12;

impl Gram {
    /// Inner products of the projections of all units onto the span of the units `onto`, `[n, n]`. Lengths of the
    /// spanning units do not matter, nor whether they depend on each other; zero units span nothing.
    ///
    /// # Errors
    /// [`Error::NotFinite`](crate::Error::NotFinite) when squares of the units overflow.
    ///
    /// # Panics
    /// When `onto` is no range of units.
    ///
    /// ```
    /// use grouping_core::{low_rank::row_gram, matrix::MatrixRef};
    /// let units = MatrixRef::new(3, 2, &[3., 4., 9., 0., 2., 0.])?;
    /// let shadows = row_gram(&[units])?.projected_onto(1..3)?;
    /// assert_eq!((shadows.at(0, 0), shadows.at(0, 2), shadows.at(2, 2)), (9.0, 6.0, 4.0));
    /// # Ok::<(), grouping_core::Error>(())
    /// ```
    pub fn projected_onto(&self, onto: Range<usize>) -> Result<Self> {
        let n = self.len();
        assert!(onto.end <= n, "units {onto:?} of {n}");
        let mut inside = vec![0.0; n * n];
        let mut outside = self.values().to_vec();
        let share = |outside: &[f64], i: usize| {
            let length = self.at(i, i);
            if length > 0.0 { outside[i * n + i] / length } else { 0.0 }
        };
        let mut left: Vec<usize> = onto.collect();
        while let Some(place) =
            (0..left.len()).max_by(|&x, &y| share(&outside, left[x]).total_cmp(&share(&outside, left[y])))
        {
            let pivot = left.swap_remove(place);
            if share(&outside, pivot) <= INSIDE {
                break;
            }
            let root = outside[pivot * n + pivot].sqrt();
            let column: Vec<f64> = outside[pivot * n..(pivot + 1) * n].iter().map(|v| v / root).collect();
            for (i, &c) in column.iter().enumerate() {
                let rows = inside[i * n..(i + 1) * n].iter_mut().zip(&mut outside[i * n..(i + 1) * n]);
                for ((inside, outside), &d) in rows.zip(&column) {
                    *inside += c * d;
                    *outside -= c * d;
                }
            }
        }
        Self::new(n, inside)
    }
}
