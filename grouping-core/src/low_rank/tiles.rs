//! A matrix that is too large to hold, made anew some rows at a time whenever it is wanted.

use crate::matrix::MatrixRef;

/// Rows per tile of a matrix in memory.
const TILE_ROWS: usize = 128;

/// A matrix `[n_rows, n_cols]`, given by its rows.
pub trait RowTiles {
    /// `[n_rows, n_cols]`.
    fn shape(&self) -> [usize; 2];

    /// Visits all rows from the first to the last, some at a time, `[t, n_cols]`; the same values at every call.
    fn for_each_tile(&self, visit: &mut dyn FnMut(MatrixRef<'_>));
}

impl RowTiles for MatrixRef<'_> {
    fn shape(&self) -> [usize; 2] {
        [self.n_rows(), self.n_cols()]
    }

    fn for_each_tile(&self, visit: &mut dyn FnMut(MatrixRef<'_>)) {
        for values in self.values().chunks((TILE_ROWS * self.n_cols()).max(1)) {
            let n_rows = values.len() / self.n_cols().max(1);
            if let Ok(tile) = MatrixRef::new(n_rows, self.n_cols(), values) {
                visit(tile);
            }
        }
    }
}
