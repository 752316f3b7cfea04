//! Products of stacked units with small matrices, panel by panel in `f64`, rounded to `f32` once.
//!
//! Cost `2·d·n·k` flops for `n` units of length `d` and `k` results.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::stack::{check_equal_columns, check_equal_rows, for_each_column_panel, for_each_row_panel};
use crate::matrix::{Matrix, MatrixRef};
use crate::{Error, Result};

/// `C·[A₁ ; A₂ ; …]`, `[k, n_cols]`: the rows of all parts combined by `combination = C [k, Σ n_rows]`.
///
/// # Errors
/// [`Error::Shape`] when the parts differ in their number of columns, or `C` has not one column a row of theirs.
pub fn combine_rows(combination: MatRef<'_, f64>, parts: &[MatrixRef<'_>]) -> Result<Matrix> {
    check_equal_columns(parts)?;
    let (k, len) = (combination.nrows(), parts.first().map_or(0, MatrixRef::n_cols));
    check_units(combination.ncols(), parts.iter().map(MatrixRef::n_rows).sum())?;
    let mut out = Matrix::zeros(k, len);
    let (mut start, mut product) = (0, vec![]);
    for_each_row_panel(parts, |panel| {
        let width = panel.ncols();
        product.resize(k * width, 0.0);
        multiply(MatMut::from_row_major_slice_mut(&mut product, k, width), combination, panel);
        let rows = out.values_mut().chunks_exact_mut(len.max(1)).zip(product.chunks_exact(width));
        for (row, values) in rows {
            round(&mut row[start..start + width], values);
        }
        start += width;
    });
    Ok(out)
}

/// `[B₁ B₂ …]·C`, `[n_rows, k]`: the columns of all parts combined by `combination = C [Σ n_cols, k]`.
///
/// # Errors
/// [`Error::Shape`] when the parts differ in their number of rows, or `C` has not one row a column of theirs.
pub fn combine_columns(parts: &[MatrixRef<'_>], combination: MatRef<'_, f64>) -> Result<Matrix> {
    check_equal_rows(parts)?;
    let (k, len) = (combination.ncols(), parts.first().map_or(0, MatrixRef::n_rows));
    check_units(combination.nrows(), parts.iter().map(MatrixRef::n_cols).sum())?;
    let mut out = Matrix::zeros(len, k);
    let (mut start, mut product) = (0, vec![]);
    for_each_column_panel(parts, |panel| {
        let width = panel.ncols();
        product.resize(width * k, 0.0);
        multiply(MatMut::from_row_major_slice_mut(&mut product, width, k), panel.transpose(), combination);
        round(&mut out.values_mut()[start * k..(start + width) * k], &product);
        start += width;
    });
    Ok(out)
}

fn check_units(found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let (expected, found) = (vec![expected], vec![found]);
    Err(Error::Shape { what: "units of a combination".into(), expected, found })
}

fn multiply(out: MatMut<'_, f64>, left: MatRef<'_, f64>, right: MatRef<'_, f64>) {
    matmul(out, Accum::Replace, left, right, 1.0, Par::Seq);
}

fn round(out: &mut [f32], values: &[f64]) {
    out.iter_mut().zip(values).for_each(|(o, &v)| *o = v as f32);
}
