//! Products of standardised rows, tile by tile.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::standard::Standardised;

/// Rows and columns of a tile; fixed, so that sums do not depend on the number of threads.
const TILE: usize = 384;
/// Columns that are multiplied at once: two panels of a tile stay in the caches.
const PANEL: usize = 256;

/// The result, to which tiles are written as they are done.
pub(super) struct Sheet<'a> {
    values: Mutex<&'a mut [f64]>,
    n_cols: usize,
    is_symmetric: bool,
}

impl<'a> Sheet<'a> {
    pub(super) fn new(values: &'a mut [f64], n_cols: usize, is_symmetric: bool) -> Self {
        Self { values: Mutex::new(values), n_cols, is_symmetric }
    }

    /// Writes a tile, and its mirror into a symmetric sheet.
    fn put(&self, rows: Range<usize>, columns: Range<usize>, tile: &[f64]) {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        for (i, tile) in rows.clone().zip(tile.chunks_exact(columns.len())) {
            values[i * self.n_cols..][columns.clone()].copy_from_slice(tile);
        }
        if self.is_symmetric && rows != columns {
            for (j, column) in columns.clone().enumerate() {
                let mirrored = &mut values[column * self.n_cols..][rows.clone()];
                let column = tile[j..].iter().step_by(columns.len());
                mirrored.iter_mut().zip(column).for_each(|(mirrored, r)| *mirrored = *r);
            }
        }
    }
}

/// Correlations of the rows of `x` with those of `y`, or among themselves, from the place `at` of the sheet on.
pub(super) fn multiply(
    x: &Standardised<'_>,
    y: Option<&Standardised<'_>>,
    at: [usize; 2],
    sheet: &Sheet<'_>,
) {
    let other = y.unwrap_or(x);
    let tiles = |n: usize| (0..n).step_by(TILE).map(move |first| first..(first + TILE).min(n));
    let pairs = tiles(x.n_rows()).flat_map(|rows| {
        let end = if y.is_none() { rows.end } else { other.n_rows() };
        tiles(other.n_rows()).take_while(move |c| c.start < end).map(move |columns| (rows.clone(), columns))
    });
    let pairs: Vec<(Range<usize>, Range<usize>)> = pairs.collect();
    pairs.into_par_iter().for_each_init(Scratch::default, |scratch, (rows, columns)| {
        let is_diagonal = y.is_none() && rows == columns;
        scratch.tile.clear();
        scratch.tile.resize(rows.len() * columns.len(), 0.0);
        let mut tile = MatMut::from_row_major_slice_mut(&mut scratch.tile, rows.len(), columns.len());
        for first in (0..x.n_cols()).step_by(PANEL) {
            let panel = first..(first + PANEL).min(x.n_cols());
            x.panel(rows.clone(), panel.clone(), &mut scratch.left);
            let left = MatRef::from_row_major_slice(&scratch.left, rows.len(), panel.len());
            if is_diagonal {
                let (half, whole) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
                triangular::matmul(
                    tile.as_mut(),
                    half,
                    Accum::Add,
                    left,
                    whole,
                    left.transpose(),
                    whole,
                    1.0,
                    Par::Seq,
                );
            } else {
                other.panel(columns.clone(), panel.clone(), &mut scratch.right);
                let right = MatRef::from_row_major_slice(&scratch.right, columns.len(), panel.len());
                matmul(tile.as_mut(), Accum::Add, left, right.transpose(), 1.0, Par::Seq);
            }
        }
        // Rounding may lead a little beyond the bounds.
        scratch.tile.iter_mut().for_each(|r| *r = r.clamp(-1.0, 1.0));
        if is_diagonal {
            for (i, row) in rows.clone().enumerate() {
                let one = if x.is_comparable(row) { 1.0 } else { f64::NAN };
                scratch.tile[i * rows.len() + i] = one;
                for j in 0..i {
                    scratch.tile[j * rows.len() + i] = scratch.tile[i * rows.len() + j];
                }
            }
        }
        let shifted = |range: Range<usize>, by: usize| range.start + by..range.end + by;
        sheet.put(shifted(rows, at[0]), shifted(columns, at[1]), &scratch.tile);
    });
}

/// What a thread multiplies with.
#[derive(Default)]
struct Scratch {
    left: Vec<f64>,
    right: Vec<f64>,
    tile: Vec<f64>,
}
