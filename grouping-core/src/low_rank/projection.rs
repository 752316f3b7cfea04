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

#[cfg(test)]
mod tests {
    use crate::low_rank::row_gram;
    use crate::matrix::Matrix;

    /// Orthonormal rows with the span of `rows`, by Gram-Schmidt twice over.
    fn basis(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let mut basis: Vec<Vec<f64>> = vec![];
        for row in rows {
            let (mut rest, whole) = (row.clone(), dot(row, row));
            for _ in 0..2 {
                for e in &basis {
                    let along = dot(&rest, e);
                    rest.iter_mut().zip(e).for_each(|(r, e)| *r -= along * e);
                }
            }
            let length = dot(&rest, &rest);
            if length > 1e-12 * whole {
                basis.push(rest.iter().map(|r| r / length.sqrt()).collect());
            }
        }
        basis
    }

    #[test]
    fn projections_are_those_of_an_orthonormal_basis() {
        // Units of 6 dimensions; 3 to 6 span: two independent ones of very different length, their sum, and zero.
        let value = |i: usize, j: usize| match i {
            4 => 1e-6 * ((7 * j + 3) % 5) as f32 - 2e-6,
            6 => 0.0,
            _ => ((i * i + 3 * i * j + 5 * j * j + 2) % 11) as f32 - 5.0,
        };
        let units =
            Matrix::from_fn(8, 6, |i, j| if i == 5 { value(3, j) + value(4, j) } else { value(i, j) });
        let gram = row_gram(&[units.view()]).expect("finite units");
        let found = gram.projected_onto(3..7).expect("finite projections");
        let row = |i: usize| units.view().row(i).iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let basis = basis(&(3..5).map(row).collect::<Vec<_>>());
        let along = |i: usize, e: &[f64]| row(i).iter().zip(e).map(|(x, y)| x * y).sum::<f64>();
        for i in 0..8 {
            for j in 0..8 {
                let expected: f64 = basis.iter().map(|e| along(i, e) * along(j, e)).sum();
                let scale = (gram.at(i, i) * gram.at(j, j)).sqrt();
                let error = (found.at(i, j) - expected).abs();
                assert!(error <= 1e-6 * scale, "units {i} and {j}: {} instead of {expected}", found.at(i, j));
            }
        }
    }

    #[test]
    fn nothing_spans_nothing_and_all_span_all() {
        let units = Matrix::from_fn(4, 9, |i, j| ((5 * i + j * j) % 7) as f32);
        let gram = row_gram(&[units.view()]).expect("finite units");
        let none = gram.projected_onto(2..2).expect("no projections");
        assert!(none.values().iter().all(|&v| v == 0.0), "no unit spans");
        let all = gram.projected_onto(0..4).expect("finite projections");
        for (found, expected) in all.values().iter().zip(gram.values()) {
            assert!(
                (found - expected).abs() < 1e-9 * expected.abs().max(1.0),
                "{found} instead of {expected}"
            );
        }
    }
}
