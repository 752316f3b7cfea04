//! Thin SVD of a sum of products from its Gram matrices: `X = B·W·A`, `B = Q_b·R_b`, `Aᵀ = Q_a·R_a` ([`Basis`]),
//! `R_b·W·R_aᵀ = U_c·Σ·V_cᵀ`, hence `U = Q_b·U_c`, `V = Q_a·V_c`.
//!
//! Singular values are good to about 1e-7 of the largest product `‖bᵢ‖·‖aᵢ‖` of a unit, smaller ones are 0. Singular vectors
//! are made on request, for as many components as wanted. Signs are fixed: the entry of greatest magnitude of each left
//! core vector is positive.

use faer::Mat;

use super::{Basis, Grams, LowRankSum, combine_columns, combine_rows};
use crate::matrix::{Matrix, MatrixRef};
use crate::{Error, Result};

/// Singular values and, on request, vectors of a [`LowRankSum`].
#[derive(Debug, Clone)]
pub struct ThinSvd<'a> {
    singular_values: Vec<f64>,
    left: Side<'a>,
    right: Side<'a>,
}

/// One side's units and, for each component, their combination to its vector, `[n, min(p_b, p_a)]`.
#[derive(Debug, Clone)]
struct Side<'a> {
    parts: Vec<MatrixRef<'a>>,
    combination: Mat<f64>,
}

impl<'a> ThinSvd<'a> {
    pub(super) fn of(sum: &LowRankSum<'a>, grams: &Grams) -> Result<Self> {
        let (left, right) = (Basis::of(&grams.left)?, Basis::of(&grams.right)?);
        let weights = sum.unit_weights();
        let r_left = &left.coordinates;
        let weighted = Mat::from_fn(r_left.nrows(), r_left.ncols(), |i, j| r_left[(i, j)] * weights[j]);
        let [n_rows, n_cols] = sum.shape();
        let n_values = n_rows.min(n_cols).min(sum.n_units());
        if left.is_empty() || right.is_empty() {
            let nothing = || Mat::zeros(weights.len(), 0);
            return Ok(Self {
                singular_values: vec![0.0; n_values],
                left: Side { parts: sum.left.clone(), combination: nothing() },
                right: Side { parts: sum.right.clone(), combination: nothing() },
            });
        }
        let core = &weighted * right.coordinates.transpose();
        let svd = core
            .thin_svd()
            .map_err(|_| Error::NoConvergence { what: "singular values of a low-rank core".into() })?;
        let (mut u, mut v) = (svd.U().to_owned(), svd.V().to_owned());
        for j in 0..u.ncols() {
            let peak =
                (0..u.nrows()).fold(0.0, |m: f64, i| if u[(i, j)].abs() > m.abs() { u[(i, j)] } else { m });
            if peak < 0.0 {
                u.col_mut(j).iter_mut().for_each(|x| *x = -*x);
                v.col_mut(j).iter_mut().for_each(|x| *x = -*x);
            }
        }
        let mut singular_values: Vec<f64> = svd.S().column_vector().iter().copied().collect();
        singular_values.resize(n_values, 0.0);
        Ok(Self {
            singular_values,
            left: Side { parts: sum.left.clone(), combination: &left.combination * u },
            right: Side { parts: sum.right.clone(), combination: &right.combination * v },
        })
    }

    /// Singular values, falling, `min(n_rows, n_cols, Σ rᵢ)` of them.
    pub fn singular_values(&self) -> &[f64] {
        &self.singular_values
    }

    /// `U_k`, `[n_rows, k]`: the first `k` left singular vectors as columns (zeros where the singular value is 0).
    ///
    /// # Errors
    /// Those of [`combine_columns`]; the factors of a sum do not meet them.
    pub fn left(&self, k: usize) -> Result<Matrix> {
        combine_columns(&self.left.parts, self.left.first(k, |_| 1.0).as_ref())
    }

    /// `U_k·Σ_k`, `[n_rows, k]`, rounded once.
    ///
    /// # Errors
    /// As [`Self::left`].
    pub fn left_scaled(&self, k: usize) -> Result<Matrix> {
        combine_columns(&self.left.parts, self.left.first(k, |j| self.singular_values[j]).as_ref())
    }

    /// `V_kᵀ`, `[k, n_cols]`: the first `k` right singular vectors as rows (zeros where the singular value is 0).
    ///
    /// # Errors
    /// As [`Self::left`].
    pub fn right(&self, k: usize) -> Result<Matrix> {
        combine_rows(self.right.first(k, |_| 1.0).transpose(), &self.right.parts)
    }

    /// `‖X − X_k‖_F`, what truncation to `k` components loses.
    pub fn residual(&self, k: usize) -> f64 {
        self.singular_values.iter().skip(k).map(|s| s * s).sum::<f64>().sqrt()
    }
}

impl Side<'_> {
    /// Combinations to the first `k` vectors, each multiplied by `factor(j)`, zeros beyond the last, `[n, k]`.
    fn first(&self, k: usize, factor: impl Fn(usize) -> f64) -> Mat<f64> {
        let all = &self.combination;
        let entry = |i, j| if j < all.ncols() { all[(i, j)] * factor(j) } else { 0.0 };
        Mat::from_fn(all.nrows(), k, entry)
    }
}
