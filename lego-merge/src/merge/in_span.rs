//! An update in the span of the module's own factors, `ΔW = B·L·R·A` with `B = [B₁ B₂ …] [d_out, n]`, `A = [A₁ ; A₂ ; …]
//! [n, d_in]`, and small `L [n, k]`, `R [k, n]`: given exactly, or as the best approximation at a rank.
//!
//! Exact: `B' = B·L`, `A' = R·A`. Truncated: with the bases `B = Q_b·R_b`, `Aᵀ = Q_a·R_a`, the SVD of
//! `(R_b·L)·(R·R_aᵀ) = E·S·Fᵀ` gives `B' = Q_b·E_k·S_k`, `A' = F_kᵀ·Q_aᵀ`. Cost `2·(d_in + d_out)·n·k` flops and an SVD of
//! at most `n × n`.

use faer::{Mat, MatRef};
use grouping_core::low_rank::{Basis, combine_columns, combine_rows};
use grouping_core::{Error, Result};

use super::{MergedModule, ModuleSources};

/// `B·left·right·A` at the module's rank.
///
/// # Errors
/// Those of the numeric routines.
pub(super) fn in_span(module: &ModuleSources<'_>, left: Mat<f64>, right: Mat<f64>) -> Result<MergedModule> {
    let (b, a) = (module.left_factors(), module.right_factors());
    let rank = module.rank;
    let (left, right, residual) = if left.ncols() <= rank {
        (left, right, None)
    } else {
        let grams = module.grams()?;
        let (basis_b, basis_a) = (Basis::of(&grams.left)?, Basis::of(&grams.right)?);
        let core = (&basis_b.coordinates * left) * (right * basis_a.coordinates.transpose());
        let Decomposed { u, values, v } = decompose(core.as_ref())?;
        let kept = rank.min(values.len());
        let square = |values: &[f64]| values.iter().map(|s| s * s).sum::<f64>();
        let (lost, all) = (square(&values[kept..]), square(&values));
        let scaled = Mat::from_fn(u.nrows(), kept, |i, j| u[(i, j)] * values[j]);
        let left = basis_b.combination * scaled;
        let right = v.subcols(0, kept).transpose() * basis_a.combination.transpose();
        (left, right, Some(if all > 0.0 { (lost / all).sqrt() } else { 0.0 }))
    };
    let left = resized(left.as_ref(), left.nrows(), rank);
    let right = resized(right.as_ref(), rank, right.ncols());
    let mut merged =
        MergedModule::new(combine_rows(right.as_ref(), &a)?, combine_columns(&b, left.as_ref())?);
    merged.residual = residual;
    Ok(merged)
}

/// `m` with zeros beyond its end.
pub(super) fn resized(m: MatRef<'_, f64>, n_rows: usize, n_cols: usize) -> Mat<f64> {
    Mat::from_fn(n_rows, n_cols, |i, j| if i < m.nrows() && j < m.ncols() { m[(i, j)] } else { 0.0 })
}

/// A thin SVD of a small matrix, singular values falling.
pub(super) struct Decomposed {
    pub(super) u: Mat<f64>,
    pub(super) values: Vec<f64>,
    pub(super) v: Mat<f64>,
}

impl Decomposed {
    /// Number of singular values above `share` of the largest.
    pub(super) fn n_above(&self, share: f64) -> usize {
        let least = share * self.values.first().copied().unwrap_or(0.0);
        self.values.iter().take_while(|&&s| s > least).count()
    }
}

/// The thin SVD of a small matrix.
///
/// # Errors
/// [`Error::NoConvergence`].
pub(super) fn decompose(m: MatRef<'_, f64>) -> Result<Decomposed> {
    if m.nrows() == 0 || m.ncols() == 0 {
        return Ok(Decomposed { u: Mat::zeros(m.nrows(), 0), values: vec![], v: Mat::zeros(m.ncols(), 0) });
    }
    let svd = m.thin_svd().map_err(|_| Error::NoConvergence { what: "an SVD of the subspace".into() })?;
    let values = svd.S().column_vector().iter().copied().collect();
    Ok(Decomposed { u: svd.U().to_owned(), values, v: svd.V().to_owned() })
}
