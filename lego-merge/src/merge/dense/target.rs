//! The merged update of one module, `[d_out, d_in]`, formed by tiles of rows: each source's update is pruned, then all are
//! added, or elect a sign and those that agree are averaged.
//!
//! Cost of forming it once: `2·d_out·d_in·Σ rᵢ` operations and the pruning. In `f32`, as in PEFT.

use grouping_core::low_rank::RowTiles;
use grouping_core::matrix::MatrixRef;
use grouping_core::simd::{Lanes, Level, dispatch};

use super::keep::Keep;
use super::update::{Block, CHUNK, ROWS, form};
use crate::adapter::Factors;
use crate::merge::MajoritySign;
use crate::merge::election::{means_of_agreeing, votes};

/// About how many values a tile has: few enough that it stays in the third-level cache, as `f64` too.
const TILE_VALUES: usize = 1 << 19;

/// One source of the merged update.
#[derive(Debug)]
pub(super) struct PrunedSource<'a> {
    pub(super) factors: &'a Factors,
    pub(super) keep: Keep<'a>,
    /// Multiplies what is kept, before the election.
    pub(super) weight_before: f32,
    /// Multiplies what is kept, after the election.
    pub(super) weight_after: f32,
}

/// How the pruned updates become one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Combine {
    Add,
    Elect(MajoritySign),
}

/// The merged update of one module, not held.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) parts: Vec<PrunedSource<'a>>,
    pub(super) combine: Combine,
}

impl RowTiles for Target<'_> {
    fn shape(&self) -> [usize; 2] {
        self.parts.first().map_or([0, 0], |p| [p.factors.b.n_rows(), p.factors.a.n_cols()])
    }

    fn for_each_tile(&self, visit: &mut dyn FnMut(MatrixRef<'_>)) {
        let [n_rows, n_cols] = self.shape();
        let tile_rows = (TILE_VALUES / n_cols.max(1)).clamp(ROWS, 256).next_multiple_of(ROWS);
        let mut tile = vec![0.0; tile_rows.min(n_rows) * n_cols];
        let mut blocks = vec![[[0.0; CHUNK]; ROWS]; self.parts.len()];
        for first in (0..n_rows).step_by(tile_rows) {
            let tile = &mut tile[..tile_rows.min(n_rows - first) * n_cols];
            fill(Level::detect(), self, first, n_cols, &mut blocks, tile);
            if let Ok(tile) = MatrixRef::new(tile.len() / n_cols.max(1), n_cols, tile) {
                visit(tile);
            }
        }
    }
}

dispatch!(fill = fill_kernel(
    target: &Target<'_>, first: usize, n_cols: usize, blocks: &mut [Block], tile: &mut [f32],
));

/// Forms the rows from `first` on.
#[inline(always)]
fn fill_kernel<L: Lanes>(
    target: &Target<'_>,
    first: usize,
    n_cols: usize,
    blocks: &mut [Block],
    tile: &mut [f32],
) {
    for column in (0..n_cols).step_by(CHUNK) {
        let len = CHUNK.min(n_cols - column);
        for (group, rows) in tile.chunks_mut(ROWS * n_cols).enumerate() {
            let row = first + group * ROWS;
            for (part, block) in target.parts.iter().zip(blocks.iter_mut()) {
                form(part.factors, row, column, len, block);
            }
            for (i, out) in rows.chunks_exact_mut(n_cols).enumerate() {
                for (part, block) in target.parts.iter().zip(blocks.iter_mut()) {
                    part.keep.apply((row + i) * n_cols + column, &mut block[i][..len]);
                }
                target.combine(i, blocks, &mut out[column..column + len]);
            }
        }
    }
}

impl Target<'_> {
    /// One row of each block into one.
    #[inline(always)]
    fn combine(&self, row: usize, blocks: &mut [Block], out: &mut [f32]) {
        let len = out.len();
        let Combine::Elect(majority) = self.combine else {
            out.fill(0.0);
            for (part, block) in self.parts.iter().zip(blocks) {
                let weight = part.weight_before * part.weight_after;
                out.iter_mut().zip(&block[row][..len]).for_each(|(sum, v)| *sum += weight * v);
            }
            return;
        };
        for (part, block) in self.parts.iter().zip(blocks.iter_mut()).filter(|(p, _)| p.weight_before != 1.0)
        {
            block[row][..len].iter_mut().for_each(|v| *v *= part.weight_before);
        }
        let blocks = &*blocks;
        let votes: [f32; CHUNK] = votes(majority, blocks.iter().map(|block| &block[row][..len]));
        let sources =
            self.parts.iter().zip(blocks).map(|(part, block)| (&block[row][..len], part.weight_after));
        out.copy_from_slice(&means_of_agreeing(&votes, sources)[..len]);
    }
}
