//! Panels of stacked factors in `f64`, converted block by block from their `f32` parts.

use faer::MatRef;

use crate::matrix::MatrixRef;
use crate::simd::{Lanes, Level, dispatch};
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

dispatch!(widen = widen_kernel(values: &[f32], out: &mut [f64]));
dispatch!(widen_rows = widen_rows_kernel(values: &[f32], r: usize, out: &mut [f64], stride: usize));

#[inline(always)]
fn widen_kernel<L: Lanes>(values: &[f32], out: &mut [f64]) {
    out.iter_mut().zip(values).for_each(|(o, &v)| *o = f64::from(v));
}

/// Writes each row of `values [.., r]` to the start of a row of `out`, whose rows lie `stride` apart.
#[inline(always)]
fn widen_rows_kernel<L: Lanes>(values: &[f32], r: usize, out: &mut [f64], stride: usize) {
    // Rows of usual ranks are vectors whose length the compiler knows.
    match r {
        8 => widen_rows_of::<8>(values, out, stride),
        16 => widen_rows_of::<16>(values, out, stride),
        32 => widen_rows_of::<32>(values, out, stride),
        _ => {
            for (out, row) in out.chunks_mut(stride).zip(values.chunks_exact(r)) {
                out[..r].iter_mut().zip(row).for_each(|(o, &v)| *o = f64::from(v));
            }
        }
    }
}

#[inline(always)]
fn widen_rows_of<const R: usize>(values: &[f32], out: &mut [f64], stride: usize) {
    for (out, row) in out.chunks_mut(stride).zip(values.as_chunks::<R>().0) {
        if let Some(out) = out.first_chunk_mut::<R>() {
            *out = row.map(f64::from);
        }
    }
}

/// Length of the long axis that is converted at once: the panel of 56 units stays in the second-level cache.
const PANEL: usize = 512;

/// Calls `visit` on consecutive `[n, ≤ PANEL]` panels of the rows of all parts, stacked.
pub(super) fn for_each_row_panel(parts: &[MatrixRef<'_>], mut visit: impl FnMut(MatRef<'_, f64>)) {
    let n: usize = parts.iter().map(MatrixRef::n_rows).sum();
    let len = parts.first().map_or(0, MatrixRef::n_cols);
    let (mut panel, level) = (vec![0f64; n * PANEL.min(len)], Level::detect());
    for start in (0..len).step_by(PANEL) {
        let width = PANEL.min(len - start);
        let mut rows = panel.chunks_exact_mut(width);
        for part in parts {
            for (i, out) in (0..part.n_rows()).zip(&mut rows) {
                widen(level, &part.row(i)[start..start + width], out);
            }
        }
        visit(MatRef::from_row_major_slice(&panel[..n * width], n, width));
    }
}

/// Calls `visit` on consecutive `[n, ≤ PANEL]` panels of the columns of all parts, side by side.
pub(super) fn for_each_column_panel(parts: &[MatrixRef<'_>], mut visit: impl FnMut(MatRef<'_, f64>)) {
    let n: usize = parts.iter().map(MatrixRef::n_cols).sum();
    let len = parts.first().map_or(0, MatrixRef::n_rows);
    let (mut panel, level) = (vec![0f64; n * PANEL.min(len)], Level::detect());
    for start in (0..len).step_by(PANEL) {
        let width = PANEL.min(len - start);
        let mut first = 0;
        for part in parts.iter().filter(|part| part.n_cols() > 0) {
            let r = part.n_cols();
            widen_rows(level, &part.values()[start * r..(start + width) * r], r, &mut panel[first..], n);
            first += r;
        }
        visit(MatRef::from_row_major_slice(&panel[..n * width], width, n).transpose());
    }
}
