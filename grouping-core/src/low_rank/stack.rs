//! Panels of stacked factors in `f64`, converted block by block from their `f32` parts.

use faer::MatRef;

use crate::matrix::MatrixRef;
use crate::{Error, Result};

/// Whether parts can be stacked: all of one number of columns.
pub(super) fn check_equal_columns(parts: &[MatrixRef<'_>]) -> Result<()> {
    check_equal("columns of stacked factors", parts.iter().map(MatrixRef::n_cols))
}

/// Whether parts can stand side by side: all of one number of rows.
pub(super) fn check_equal_rows(parts: &[MatrixRef<'_>]) -> Result<()> {
    check_equal("rows of factors side by side", parts.iter().map(MatrixRef::n_rows))
}

fn check_equal(what: &str, mut lengths: impl Iterator<Item = usize>) -> Result<()> {
    let Some(first) = lengths.next() else { return Ok(()) };
    match lengths.find(|&l| l != first) {
        None => Ok(()),
        Some(found) => Err(Error::Shape { what: what.into(), expected: vec![first], found: vec![found] }),
    }
}

/// Length of the long axis that is converted at once: the panel of 56 units stays in the second-level cache.
const PANEL: usize = 512;

/// Calls `visit` on consecutive `[n, ≤ PANEL]` panels of the rows of all parts, stacked.
pub(super) fn for_each_row_panel(parts: &[MatrixRef<'_>], mut visit: impl FnMut(MatRef<'_, f64>)) {
    let n: usize = parts.iter().map(MatrixRef::n_rows).sum();
    let len = parts.first().map_or(0, MatrixRef::n_cols);
    let mut panel = vec![0f64; n * PANEL.min(len)];
    for start in (0..len).step_by(PANEL) {
        let width = PANEL.min(len - start);
        let mut rows = panel.chunks_exact_mut(width);
        for part in parts {
            for (i, out) in (0..part.n_rows()).zip(&mut rows) {
                for (o, &v) in out.iter_mut().zip(&part.row(i)[start..start + width]) {
                    *o = f64::from(v);
                }
            }
        }
        visit(MatRef::from_row_major_slice(&panel[..n * width], n, width));
    }
}

/// Calls `visit` on consecutive `[n, ≤ PANEL]` panels of the columns of all parts, side by side.
pub(super) fn for_each_column_panel(parts: &[MatrixRef<'_>], mut visit: impl FnMut(MatRef<'_, f64>)) {
    let n: usize = parts.iter().map(MatrixRef::n_cols).sum();
    let len = parts.first().map_or(0, MatrixRef::n_rows);
    let mut panel = vec![0f64; n * PANEL.min(len)];
    for start in (0..len).step_by(PANEL) {
        let width = PANEL.min(len - start);
        let mut first = 0;
        for part in parts.iter().filter(|part| part.n_cols() > 0) {
            let r = part.n_cols();
            let rows = part.values()[start * r..(start + width) * r].chunks_exact(r);
            for (out, row) in panel.chunks_exact_mut(n).zip(rows) {
                for (o, &v) in out[first..first + r].iter_mut().zip(row) {
                    *o = f64::from(v);
                }
            }
            first += r;
        }
        visit(MatRef::from_row_major_slice(&panel[..n * width], width, n).transpose());
    }
}
