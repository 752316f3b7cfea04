//! Subspaces spanned by some of the vectors of a Gram matrix, and the angles between them (Björck and Golub, 1973).
//!
//! For vectors `S` with `G = S·Sᵀ` and a range of them with `Gᵣ = V·Λ·Vᵀ`, the columns of `Q = Sᵣᵀ·W`, `W = V·Λ^(−1/2)`, are
//! an orthonormal basis of their span. The cosines of the principal angles of two spans are the singular values of
//! `Q₁ᵀ·Q₂ = W₁ᵀ·G₁₂·W₂`: nothing of the vectors' own length is formed. As a Gram matrix squares the condition, directions
//! below 1e-6 of a range's largest are dropped, and cosines are good to about 1e-8 over what is kept.

use std::ops::Range;

use faer::{Mat, Side};

use super::Gram;
use crate::{Error, Result};

/// Share of the largest eigenvalue of `Gᵣ` below which a direction is dropped.
const TOLERANCE: f64 = 1e-12;

/// The span of a range of the vectors of a Gram matrix.
#[derive(Debug, Clone)]
pub struct Span {
    units: Range<usize>,
    /// `W [r, k]`.
    coefficients: Mat<f64>,
}

impl Span {
    /// The span of the vectors `units` of `gram`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the range is not within the Gram matrix, [`Error::NoConvergence`] from its decomposition.
    ///
    /// ```
    /// use grouping_core::low_rank::{Span, row_gram};
    /// use grouping_core::matrix::MatrixRef;
    /// // The x-axis and the plane of the diagonal and z.
    /// let gram = row_gram(&[MatrixRef::new(3, 3, &[2., 0., 0., 3., 3., 0., 0., 0., 5.])?])?;
    /// let (axis, plane) = (Span::of(&gram, 0..1)?, Span::of(&gram, 1..3)?);
    /// assert_eq!((axis.dim(), plane.dim()), (1, 2));
    /// assert!((axis.cosines(&plane, &gram)?[0] - 0.5f64.sqrt()).abs() < 1e-12, "45 degrees");
    /// # Ok::<(), grouping_core::Error>(())
    /// ```
    pub fn of(gram: &Gram, units: Range<usize>) -> Result<Self> {
        if units.start > units.end || units.end > gram.len() {
            let (expected, found) = (vec![gram.len()], vec![units.start, units.end]);
            return Err(Error::Shape { what: "range of a Gram matrix".into(), expected, found });
        }
        let r = units.len();
        if r == 0 {
            return Ok(Self { units, coefficients: Mat::zeros(0, 0) });
        }
        let block = Mat::from_fn(r, r, |i, j| gram.at(units.start + i, units.start + j));
        let eigen = block
            .self_adjoint_eigen(Side::Lower)
            .map_err(|_| Error::NoConvergence { what: "eigenvalues of a Gram matrix".into() })?;
        let values: Vec<f64> = eigen.S().column_vector().iter().copied().collect();
        let least = TOLERANCE * values.iter().copied().fold(0.0, f64::max);
        let kept: Vec<usize> = (0..r).rev().filter(|&j| values[j] > least && values[j] > 0.0).collect();
        let coefficients =
            Mat::from_fn(r, kept.len(), |i, j| eigen.U()[(i, kept[j])] / values[kept[j]].sqrt());
        Ok(Self { units, coefficients })
    }

    /// Dimension of the span, `k`.
    pub fn dim(&self) -> usize {
        self.coefficients.ncols()
    }

    /// Cosines of the principal angles to another span of the same Gram matrix, falling, `min(k₁, k₂)` of them.
    ///
    /// # Errors
    /// [`Error::NoConvergence`] from the decomposition.
    ///
    /// # Panics
    /// When a span is not of this Gram matrix.
    pub fn cosines(&self, other: &Self, gram: &Gram) -> Result<Vec<f64>> {
        if self.dim() == 0 || other.dim() == 0 {
            return Ok(vec![]);
        }
        let product = self.coordinates(gram, other.units.clone()) * &other.coefficients;
        let values = product
            .singular_values()
            .map_err(|_| Error::NoConvergence { what: "principal angles".into() })?;
        Ok(values.into_iter().map(|c| c.clamp(0.0, 1.0)).collect())
    }

    /// Coordinates in the basis of the vectors `units`: `Qᵀ·Sᵤᵀ`, `[k, n]`.
    fn coordinates(&self, gram: &Gram, units: Range<usize>) -> Mat<f64> {
        let cross = Mat::from_fn(self.units.len(), units.len(), |i, j| {
            gram.at(self.units.start + i, units.start + j)
        });
        self.coefficients.transpose() * cross
    }
}

/// `‖Q_Lᵀ·(Σᵤ bᵤ·aᵤᵀ)·Q_R‖_F`: the part of a sum of products over `units` that lies within `left`, a span of the vectors
/// `b` with the Gram matrix `left_gram`, and `right`, of the vectors `a`.
///
/// # Panics
/// When a span or the range is not of its Gram matrix.
pub fn norm_within(
    (left, left_gram): (&Span, &Gram),
    (right, right_gram): (&Span, &Gram),
    units: Range<usize>,
) -> f64 {
    let product =
        left.coordinates(left_gram, units.clone()) * right.coordinates(right_gram, units).transpose();
    product.norm_l2()
}
