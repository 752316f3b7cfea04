//! The update `s·B·A [d_out, d_in]` of one source, formed some columns of four rows at a time.
//!
//! Each value is a chain of fused multiply-adds in the order of the units, then one product with `s`, all in `f32`: what a
//! matrix product of PEFT rounds to, and the same bits on every processor.

use grouping_core::simd::{Lanes, Level, dispatch};

use crate::adapter::Factors;

/// Columns that are formed at once: those of seven sources stay in the first-level cache.
pub(crate) const CHUNK: usize = 256;
/// Rows that are formed at once, so that each value of `A` is read once for all of them.
pub(crate) const ROWS: usize = 4;

/// Up to [`CHUNK`] columns of [`ROWS`] rows.
pub(crate) type Block = [[f32; CHUNK]; ROWS];

/// Forms columns `column..column + len` of the rows `row..row + ROWS`; rows beyond the last are zero.
#[inline(always)]
pub(crate) fn form(factors: &Factors, row: usize, column: usize, len: usize, out: &mut Block) {
    let (rank, scale) = (factors.a.n_rows(), factors.scale as f32);
    let coefficient = |row: usize, unit: usize| {
        if row < factors.b.n_rows() && unit < rank { factors.b.view().row(row)[unit] } else { 0.0 }
    };
    for row in out.iter_mut() {
        row[..len].fill(0.0);
    }
    for unit in (0..rank).step_by(4) {
        let a: [&[f32]; 4] =
            std::array::from_fn(|k| &factors.a.view().row((unit + k).min(rank - 1))[column..column + len]);
        let [a0, a1, a2, a3] = a;
        for (i, out) in out.iter_mut().enumerate() {
            let b: [f32; 4] = std::array::from_fn(|k| coefficient(row + i, unit + k));
            let columns = out[..len].iter_mut().zip(a0).zip(a1).zip(a2).zip(a3);
            for ((((v, a0), a1), a2), a3) in columns {
                *v = b[3].mul_add(*a3, b[2].mul_add(*a2, b[1].mul_add(*a1, b[0].mul_add(*a0, *v))));
            }
        }
    }
    for row in out.iter_mut() {
        row[..len].iter_mut().for_each(|v| *v *= scale);
    }
}

dispatch!(form_block = form_kernel(factors: &Factors, row: usize, column: usize, len: usize, out: &mut Block));

/// [`form`], whose products are fused at every level: the bits are the same on every processor.
#[inline(always)]
fn form_kernel<L: Lanes>(factors: &Factors, row: usize, column: usize, len: usize, out: &mut Block) {
    form(factors, row, column, len, out);
}

/// Visits the whole update: `visit(row, column, values)`, each value once, the columns of a row in order.
pub(super) fn for_each_run(factors: &Factors, mut visit: impl FnMut(usize, usize, &[f32])) {
    let (n_rows, n_cols) = (factors.b.n_rows(), factors.a.n_cols());
    let level = Level::detect();
    let mut block = [[0.0; CHUNK]; ROWS];
    for row in (0..n_rows).step_by(ROWS) {
        for column in (0..n_cols).step_by(CHUNK) {
            let len = CHUNK.min(n_cols - column);
            form_block(level, factors, row, column, len, &mut block);
            for (i, values) in block.iter().enumerate().take(n_rows - row) {
                visit(row + i, column, &values[..len]);
            }
        }
    }
}
