//! Inner products of stacked units with a few others, without all those among the units themselves.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

use super::stack::{check_equal_columns, check_equal_rows, for_each_column_panel, for_each_row_panel};
use crate::Result;
use crate::matrix::MatrixRef;

/// `[Σ n_rows + k, k]`: inner products of the rows of all `parts`, and of `others` below them, with the `k` rows of `others`.
pub(super) fn row_cross<'a>(parts: &[MatrixRef<'a>], others: MatrixRef<'a>) -> Result<Mat<f64>> {
    let all: Vec<_> = parts.iter().copied().chain([others]).collect();
    check_equal_columns(&all)?;
    let n = all.iter().map(MatrixRef::n_rows).sum();
    Ok(accumulate(n, others.n_rows(), |visit| for_each_row_panel(&all, visit)))
}

/// `[Σ n_cols + k, k]`: inner products of the columns of all `parts`, and of `others` after them, with the `k` columns of
/// `others`.
pub(super) fn column_cross<'a>(parts: &[MatrixRef<'a>], others: MatrixRef<'a>) -> Result<Mat<f64>> {
    let all: Vec<_> = parts.iter().copied().chain([others]).collect();
    check_equal_rows(&all)?;
    let n = all.iter().map(MatrixRef::n_cols).sum();
    Ok(accumulate(n, others.n_cols(), |visit| for_each_column_panel(&all, visit)))
}

/// Sums `P·P[n − k.., ..]ᵀ` over the panels `P [n, ..]`.
fn accumulate(n: usize, k: usize, panels: impl FnOnce(&mut dyn FnMut(MatRef<'_, f64>))) -> Mat<f64> {
    let mut out = Mat::<f64>::zeros(n, k);
    panels(&mut |panel| {
        let others = panel.subrows(n - k, k).transpose();
        matmul(out.as_mut(), Accum::Add, panel, others, 1.0, Par::Seq);
    });
    out
}
