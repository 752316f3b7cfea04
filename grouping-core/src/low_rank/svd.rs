//! Thin SVD of a sum of products: `X = B·W·A`, `B = Q_b·R_b`, `Aᵀ = Q_a·R_a`, `R_b·W·R_aᵀ = U_c·Σ·V_cᵀ`, hence
//! `U = Q_b·U_c`, `V = Q_a·V_c`.
//!
//! Singular vectors are made on request, for as many components as wanted. Signs are fixed: the entry of greatest
//! magnitude of each left core vector is positive.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch as scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj as apply_q,
};
use faer::linalg::solvers::Qr;
use faer::{Conj, Mat, MatRef, Par};

use super::LowRankSum;
use crate::matrix::Matrix;
use crate::{Error, Result};

/// Singular values and, on request, vectors of a [`LowRankSum`].
#[derive(Debug, Clone)]
pub struct ThinSvd {
    singular_values: Vec<f64>,
    left: Side,
    right: Side,
}

/// One side's orthonormal basis, `Q [len, n]` in Householder form, and the core's vectors in it.
#[derive(Debug, Clone)]
struct Side {
    qr: Qr<f64>,
    core: Mat<f64>,
}

impl ThinSvd {
    pub(super) fn of(sum: &LowRankSum<'_>) -> Result<Self> {
        let left = sum.stacked_left()?.qr();
        let right = sum.stacked_right()?.qr();
        let weights = sum.unit_weights();
        let r_left = left.thin_R();
        let weighted = Mat::from_fn(r_left.nrows(), r_left.ncols(), |i, j| r_left[(i, j)] * weights[j]);
        let core = &weighted * right.thin_R().transpose();
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
        let singular_values = svd.S().column_vector().iter().copied().collect();
        Ok(Self { singular_values, left: Side { qr: left, core: u }, right: Side { qr: right, core: v } })
    }

    /// Singular values, falling, `min(n_rows, n_cols, Σ rᵢ)` of them.
    pub fn singular_values(&self) -> &[f64] {
        &self.singular_values
    }

    /// `U_k`, `[n_rows, k]`: the first `k` left singular vectors as columns (zeros beyond the last component).
    pub fn left(&self, k: usize) -> Matrix {
        let u = self.left.vectors(k);
        Matrix::from_fn(u.nrows(), k, |i, j| entry(u.as_ref(), i, j) as f32)
    }

    /// `U_k·Σ_k`, `[n_rows, k]`, rounded once.
    pub fn left_scaled(&self, k: usize) -> Matrix {
        let u = self.left.vectors(k);
        let value = |j: usize| self.singular_values.get(j).copied().unwrap_or(0.0);
        Matrix::from_fn(u.nrows(), k, |i, j| (entry(u.as_ref(), i, j) * value(j)) as f32)
    }

    /// `V_kᵀ`, `[k, n_cols]`: the first `k` right singular vectors as rows (zeros beyond the last component).
    pub fn right(&self, k: usize) -> Matrix {
        let v = self.right.vectors(k);
        Matrix::from_fn(k, v.nrows(), |i, j| entry(v.as_ref(), j, i) as f32)
    }

    /// `‖X − X_k‖_F`, what truncation to `k` components loses.
    pub fn residual(&self, k: usize) -> f64 {
        self.singular_values.iter().skip(k).map(|s| s * s).sum::<f64>().sqrt()
    }
}

fn entry(m: MatRef<'_, f64>, i: usize, j: usize) -> f64 {
    if j < m.ncols() { m[(i, j)] } else { 0.0 }
}

impl Side {
    /// `Q·core[:, ..k]`, by reflections on the padded core: `O(len·n·k)`.
    fn vectors(&self, k: usize) -> Mat<f64> {
        let (basis, k) = (self.qr.Q_basis(), k.min(self.core.ncols()));
        let mut out = Mat::zeros(basis.nrows(), k);
        out.as_mut().subrows_mut(0, self.core.nrows()).copy_from(self.core.subcols(0, k));
        let coeff = self.qr.Q_coeff();
        let mut memory = MemBuffer::new(scratch::<f64>(basis.nrows(), coeff.nrows(), k));
        apply_q(basis, coeff, Conj::No, out.as_mut(), Par::Seq, MemStack::new(&mut memory));
        out
    }
}
