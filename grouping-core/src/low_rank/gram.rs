//! Gram matrices of stacked factors: all inner products of the units, in `f64`.
//!
//! For units `sᵢ = [aᵢ ; bᵢ]` given by rows of `A` and columns of `B`, `G = A·Aᵀ + Bᵀ·B` holds every squared
//! distance `‖sᵢ − sⱼ‖² = Gᵢᵢ − 2Gᵢⱼ + Gⱼⱼ`, whatever the dimension.

use std::ops::Range;

use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, Mat, MatRef, Par};

use super::stack::{check_equal_columns, check_equal_rows, for_each_column_panel, for_each_row_panel};
use crate::matrix::MatrixRef;
use crate::{Error, Result};

/// A symmetric matrix of inner products, `[n, n]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Gram {
    n: usize,
    values: Vec<f64>,
}

impl Gram {
    /// Takes row-major `values` as `[n, n]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when there are not `n²` values, [`Error::NotFinite`] when one is NaN or infinite.
    pub fn new(n: usize, values: Vec<f64>) -> Result<Self> {
        if n.checked_mul(n) != Some(values.len()) {
            let found = vec![values.len()];
            return Err(Error::Shape { what: "Gram matrix".into(), expected: vec![n, n], found });
        }
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(Self { n, values }),
            Some(index) => Err(Error::NotFinite { what: "Gram matrix".into(), index, value: values[index] }),
        }
    }

    /// Number of units.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there is no unit.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// All values, row after row, `[n, n]`.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Inner product of units `i` and `j`.
    ///
    /// # Panics
    /// When an index is not below [`Self::len`].
    pub fn at(&self, i: usize, j: usize) -> f64 {
        assert!(j < self.n, "unit {j} of {}", self.n);
        self.values[i * self.n + j]
    }

    /// Inner products among consecutive units.
    ///
    /// # Panics
    /// When there are fewer units.
    pub fn block(&self, units: Range<usize>) -> Self {
        assert!(units.end <= self.n, "units {units:?} of {}", self.n);
        let rows = units.clone().flat_map(|i| &self.values[i * self.n..][units.clone()]);
        Self { n: units.len(), values: rows.copied().collect() }
    }

    /// Inner products of the units glued together: the sum of both Gram matrices.
    ///
    /// # Errors
    /// [`Error::Shape`] when the numbers of units differ.
    pub fn plus(mut self, other: &Self) -> Result<Self> {
        if self.n != other.n {
            let (expected, found) = (vec![self.n, self.n], vec![other.n, other.n]);
            return Err(Error::Shape { what: "second Gram matrix".into(), expected, found });
        }
        for (a, b) in self.values.iter_mut().zip(&other.values) {
            *a += b;
        }
        Ok(self)
    }

    /// Inner products after unit `i` is multiplied by `scales[i]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when there is not one scale a unit.
    pub fn scaled(mut self, scales: &[f64]) -> Result<Self> {
        if scales.len() != self.n {
            let (expected, found) = (vec![self.n], vec![scales.len()]);
            return Err(Error::Shape { what: "scales of a Gram matrix".into(), expected, found });
        }
        for (i, row) in self.values.chunks_exact_mut(self.n.max(1)).enumerate() {
            for (value, scale) in row.iter_mut().zip(scales) {
                *value *= scales[i] * scale;
            }
        }
        Ok(self)
    }
}

/// `S·Sᵀ` of the rows of all `parts`, stacked: `[Σ n_rows, Σ n_rows]`.
///
/// # Errors
/// [`Error::Shape`] when the parts differ in their number of columns, [`Error::NotFinite`] when the result is not
/// finite.
///
/// ```
/// use grouping_core::{low_rank::row_gram, matrix::MatrixRef};
/// let a = MatrixRef::new(2, 3, &[1., 0., 2., 0., 3., 1.])?;
/// assert_eq!(row_gram(&[a])?.values(), [5., 2., 2., 10.]);
/// # Ok::<(), grouping_core::Error>(())
/// ```
pub fn row_gram(parts: &[MatrixRef<'_>]) -> Result<Gram> {
    check_equal_columns(parts)?;
    accumulate(parts.iter().map(MatrixRef::n_rows).sum(), |visit| for_each_row_panel(parts, visit))
}

/// `Sᵀ·S` of the columns of all `parts`, side by side: `[Σ n_cols, Σ n_cols]`.
///
/// # Errors
/// [`Error::Shape`] when the parts differ in their number of rows, [`Error::NotFinite`] when the result is not
/// finite.
pub fn column_gram(parts: &[MatrixRef<'_>]) -> Result<Gram> {
    check_equal_rows(parts)?;
    accumulate(parts.iter().map(MatrixRef::n_cols).sum(), |visit| for_each_column_panel(parts, visit))
}

/// Sums `P·Pᵀ` over the panels: the lower triangle, then its mirror.
fn accumulate(n: usize, panels: impl FnOnce(&mut dyn FnMut(MatRef<'_, f64>))) -> Result<Gram> {
    let mut lower = Mat::<f64>::zeros(n, n);
    panels(&mut |panel| {
        matmul(
            &mut lower,
            BlockStructure::TriangularLower,
            Accum::Add,
            panel,
            BlockStructure::Rectangular,
            panel.transpose(),
            BlockStructure::Rectangular,
            1.0,
            Par::Seq,
        );
    });
    Gram::new(n, (0..n * n).map(|t| lower[((t / n).max(t % n), (t / n).min(t % n))]).collect())
}
