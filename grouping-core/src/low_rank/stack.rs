//! Panels of stacked factors in `f64`, converted block by block from their `f32` parts.

use faer::MatRef;

use crate::matrix::MatrixRef;

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
        for (t, out) in panel.chunks_exact_mut(n.max(1)).take(width).enumerate() {
            let row = parts.iter().flat_map(|part| part.row(start + t));
            for (o, &v) in out.iter_mut().zip(row) {
                *o = f64::from(v);
            }
        }
        visit(MatRef::from_row_major_slice(&panel[..n * width], width, n).transpose());
    }
}
