//! Orthogonal Procrustes (Schönemann 1966): the orthogonal `Q` that brings `A·Q` nearest to `B`, from the cross matrix `M = Aᵀ·B` alone.
//!
//! `‖A·Q − B‖² = ‖A‖² + ‖B‖² − 2·tr(Qᵀ·M)`. With `M = U·Σ·Vᵀ` the best `Q = U·Vᵀ` gains `tr(Qᵀ·M) = Σσ`. Where only rotations of
//! given planes may be used ([`PlaneRotations`]), each plane has one angle of its own.
//!
//! `A`, `B [n, d]` are never needed: `M [d, d]` and two norms can be gathered batch by batch. Alignment of more than two turns
//! one towards the mean of the others, whose cross matrix is the mean of `M_ij·Q_j` ([`Rotation::after`]). All in `f64`.

mod planes;

pub use planes::{PairLayout, PlaneRotations};

use faer::Mat;

use crate::{Error, Result};

/// An orthogonal matrix and what it gains.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotation {
    dim: usize,
    values: Vec<f64>,
    gain: f64,
}

impl Rotation {
    /// The orthogonal `Q` with the least `‖A·Q − B‖`, from `cross = Aᵀ·B`, row-major `[dim, dim]`.
    ///
    /// Reflections are allowed. Where `cross` is not of full rank the best `Q` is not unique, and one of them is given.
    ///
    /// # Errors
    /// [`Error::Shape`] where there are not `dim²` values, [`Error::NotFinite`], [`Error::NoConvergence`] from the decomposition.
    ///
    /// ```
    /// use grouping_core::matching::procrustes::Rotation;
    /// // A = (±1, 0) and (0, ±1), B = A turned by a quarter: (x, y) → (−y, x).
    /// let rotation = Rotation::from_cross(&[0., 2., -2., 0.], 2)?;
    /// let turned = rotation.after(&[1., 0.]);
    /// assert!((turned[0]).abs() < 1e-12 && (turned[1] - 1.).abs() < 1e-12);
    /// assert!((rotation.gain() - 4.).abs() < 1e-12, "‖A‖² + ‖B‖² − 2·4 = 0");
    /// # Ok::<(), grouping_core::Error>(())
    /// ```
    pub fn from_cross(cross: &[f64], dim: usize) -> Result<Self> {
        check(cross, dim)?;
        if dim == 0 {
            return Ok(Self { dim, values: vec![], gain: 0.0 });
        }
        let matrix = Mat::from_fn(dim, dim, |i, j| cross[i * dim + j]);
        let svd = matrix
            .svd()
            .map_err(|_| Error::NoConvergence { what: "singular values of a cross matrix".into() })?;
        let q = svd.U() * svd.V().transpose();
        let values = (0..dim * dim).map(|t| q[(t / dim, t % dim)]).collect();
        Ok(Self { dim, values, gain: svd.S().column_vector().iter().sum() })
    }

    /// The matrix that turns nothing.
    pub fn identity(dim: usize) -> Self {
        let values = (0..dim * dim).map(|t| f64::from(u8::from(t / dim == t % dim))).collect();
        Self { dim, values, gain: 0.0 }
    }

    /// `d`.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// `Q`, row-major `[d, d]`.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// `tr(Qᵀ·M)`, half of what `Q` takes off `‖A‖² + ‖B‖²`.
    pub fn gain(&self) -> f64 {
        self.gain
    }

    /// `X·Q` for row-major `x [n, d]`: rows turned, or a cross matrix `Aᵀ·B` made that of `A` and `B·Q`.
    ///
    /// # Panics
    /// When the length is no multiple of `d`.
    pub fn after(&self, x: &[f64]) -> Vec<f64> {
        if self.dim == 0 {
            return vec![];
        }
        let (rows, rest) = (x.chunks_exact(self.dim), x.len() % self.dim);
        assert_eq!(rest, 0, "{} values are no rows of {}", x.len(), self.dim);
        rows.flat_map(|row| {
            let mut out = vec![0.0; self.dim];
            for (value, q_row) in row.iter().zip(self.values.chunks_exact(self.dim)) {
                out.iter_mut().zip(q_row).for_each(|(o, q)| *o += value * q);
            }
            out
        })
        .collect()
    }

    /// `Qᵀ·X` for row-major `x [d, n]`: a cross matrix `Aᵀ·B` made that of `A·Q` and `B`, or output columns turned with the input.
    ///
    /// # Panics
    /// When the length is no multiple of `d`.
    pub fn transposed_before(&self, x: &[f64]) -> Vec<f64> {
        if self.dim == 0 {
            return vec![];
        }
        assert_eq!(x.len() % self.dim, 0, "{} values are not {} rows", x.len(), self.dim);
        let n = x.len() / self.dim;
        let mut out = vec![0.0; x.len()];
        for (k, row) in x.chunks_exact(n.max(1)).enumerate() {
            for (i, out_row) in out.chunks_exact_mut(n.max(1)).enumerate() {
                let q = self.values[k * self.dim + i];
                out_row.iter_mut().zip(row).for_each(|(o, value)| *o += q * value);
            }
        }
        out
    }
}

/// `‖A·Q − B‖²` from the squares of `‖A‖` and `‖B‖` and the gain of `Q`; never negative.
pub fn residual_square(a_square: f64, b_square: f64, gain: f64) -> f64 {
    (a_square + b_square - 2.0 * gain).max(0.0)
}

fn check(cross: &[f64], dim: usize) -> Result<()> {
    if dim.checked_mul(dim) != Some(cross.len()) {
        let found = vec![cross.len()];
        return Err(Error::Shape { what: "cross matrix".into(), expected: vec![dim, dim], found });
    }
    match cross.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::NotFinite { what: "cross matrix".into(), index, value: cross[index] }),
    }
}
