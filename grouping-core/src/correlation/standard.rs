//! Rows brought to mean 0 and length 1, a panel of columns at a time.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use crate::simd::{Lanes, Level, dispatch};

/// Rows `[n, n_cols]` and what standardises them: `(x − centre)·scale`.
pub(super) struct Standardised<'a> {
    values: Cow<'a, [f32]>,
    n_cols: usize,
    /// One centre and one scale a row; the scale is NaN where a row has no direction.
    rows: Vec<(f64, f64)>,
}

impl<'a> Standardised<'a> {
    /// Around the means of the rows.
    pub(super) fn centred(values: Cow<'a, [f32]>, n_cols: usize) -> Self {
        Self::by(values, n_cols, |level, row| {
            let centre = sum(level, row) / row.len() as f64;
            // The mean of equal values may be a rounding away from them.
            let is_constant = row.iter().all(|v| *v == row[0]);
            (centre, if is_constant { f64::NAN } else { 1.0 / square_sum(level, row, centre).sqrt() })
        })
    }

    /// Around zero.
    pub(super) fn as_it_is(values: Cow<'a, [f32]>, n_cols: usize) -> Self {
        Self::by(values, n_cols, |level, row| {
            let length = square_sum(level, row, 0.0).sqrt();
            (0.0, if length > 0.0 { 1.0 / length } else { f64::NAN })
        })
    }

    fn by(values: Cow<'a, [f32]>, n_cols: usize, of: impl Fn(Level, &[f32]) -> (f64, f64) + Sync) -> Self {
        let level = Level::detect();
        let rows = values.par_chunks_exact(n_cols).map(|row| of(level, row)).collect();
        Self { values, n_cols, rows }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// Whether row `i` has a direction.
    pub(super) fn is_comparable(&self, i: usize) -> bool {
        !self.rows[i].1.is_nan()
    }

    /// Some columns of some rows, standardised, row after row.
    pub(super) fn panel(&self, rows: Range<usize>, columns: Range<usize>, out: &mut Vec<f64>) {
        out.resize(rows.len() * columns.len(), 0.0);
        let level = Level::detect();
        for (i, out) in rows.zip(out.chunks_exact_mut(columns.len())) {
            let (centre, scale) = self.rows[i];
            let row = &self.values[i * self.n_cols..][columns.clone()];
            standardise(level, row, centre, scale, out);
        }
    }
}

dispatch!(standardise = standardise_kernel(row: &[f32], centre: f64, scale: f64, out: &mut [f64]));
dispatch!(sum = sum_kernel(row: &[f32]) -> f64);
dispatch!(square_sum = square_sum_kernel(row: &[f32], centre: f64) -> f64);

#[inline(always)]
fn standardise_kernel<L: Lanes>(row: &[f32], centre: f64, scale: f64, out: &mut [f64]) {
    out.iter_mut().zip(row).for_each(|(out, &v)| *out = (f64::from(v) - centre) * scale);
}

#[inline(always)]
fn sum_kernel<L: Lanes>(row: &[f32]) -> f64 {
    sum_of(row, |v| v)
}

#[inline(always)]
fn square_sum_kernel<L: Lanes>(row: &[f32], centre: f64) -> f64 {
    sum_of(row, |v| (v - centre) * (v - centre))
}

/// In sixteen interleaved sums, so that it is vectorised.
#[inline(always)]
fn sum_of(row: &[f32], term: impl Fn(f64) -> f64) -> f64 {
    let (whole, rest) = row.as_chunks::<16>();
    let mut sums = [0.0; 16];
    for chunk in whole {
        sums.iter_mut().zip(chunk).for_each(|(sum, &v)| *sum += term(f64::from(v)));
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&v| term(f64::from(v))).sum::<f64>()
}
