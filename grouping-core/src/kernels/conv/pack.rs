//! Weights and inputs in the order in which register tiles read them.

use rayon::prelude::*;

use super::geometry::Geometry;
use crate::simd::{Lanes, Level, dispatch};

/// Weights in blocks of input channels; in each the phases, in each blocks of output channels, in each `[channels, taps, output channels]`.
/// The last block of output channels has those that are left.
#[derive(Debug)]
pub(in crate::kernels) struct Weights {
    values: Vec<f32>,
    c_in: usize,
    c_out: usize,
    /// Input channels of a block.
    block: usize,
    /// Output channels of a block.
    tile: usize,
    /// Taps before each phase.
    taps_before: Vec<usize>,
}

impl Weights {
    pub(in crate::kernels) fn pack(geometry: &Geometry, weight: &[f32], block: usize, tile: usize) -> Self {
        let &Geometry { c_in, c_out, weight_strides: [out_stride, in_stride], .. } = geometry;
        let n_taps = geometry.n_taps();
        let mut values = vec![0.0; c_in * c_out * n_taps];
        values.par_chunks_mut((block * c_out * n_taps).max(1)).enumerate().for_each(|(i, mut rest)| {
            let channels = i * block..c_in.min((i + 1) * block);
            for taps in &geometry.phases {
                for first in (0..c_out).step_by(tile) {
                    let width = tile.min(c_out - first);
                    for channel in channels.clone() {
                        let weight = &weight[channel * in_stride + first * out_stride..];
                        for tap in taps {
                            let (values, tail) = rest.split_at_mut(width);
                            for (m, value) in values.iter_mut().enumerate() {
                                *value = weight[m * out_stride + tap.weight];
                            }
                            rest = tail;
                        }
                    }
                }
            }
        });
        let taps_before = geometry.phases.iter().scan(0, |sum, taps| {
            *sum += taps.len();
            Some(*sum - taps.len())
        });
        Self { values, c_in, c_out, block, tile, taps_before: taps_before.collect() }
    }

    /// The input channels of each block, in order.
    pub(super) fn blocks(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let (c_in, block) = (self.c_in, self.block);
        (0..c_in).step_by(block).map(move |first| first..c_in.min(first + block))
    }

    /// The first of the `n_taps` taps of `phase` for the block of `channels` of the input and the block of output channels at `first`.
    pub(in crate::kernels) fn of(
        &self,
        channels: &std::ops::Range<usize>,
        phase: usize,
        n_taps: usize,
        first: usize,
    ) -> &[f32] {
        debug_assert!(
            first.is_multiple_of(self.tile) && channels.start.is_multiple_of(self.block),
            "starts of blocks"
        );
        let n_all = self.values.len() / (self.c_in * self.c_out).max(1);
        let before = channels.start * self.c_out * n_all;
        let in_block = channels.len() * (self.c_out * self.taps_before[phase] + first * n_taps);
        &self.values[before + in_block..]
    }
}

/// Rows of the input around some points of the grid, for some input channels, with zeros for the padding. `step` columns of the input that
/// follow each other stand in `step` rows, so that neighbouring points of the grid are neighbours in each of them.
#[derive(Debug, Default)]
pub(super) struct Strip {
    values: Vec<f32>,
    /// Columns of one of the `step` rows.
    pitch: usize,
    /// Rows of the input of a channel.
    rows: usize,
    step: usize,
}

/// Points of the grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) row: usize,
    pub(super) rows: usize,
    pub(super) column: usize,
    pub(super) columns: usize,
}

impl Strip {
    /// Sets the shape for windows of at most `rows` and `columns`, which vectors of `lanes` points may pass at the end.
    pub(super) fn reshape(&mut self, geometry: &Geometry, rows: usize, columns: usize, lanes: usize) {
        self.step = geometry.step;
        self.rows = (rows - 1) * geometry.step + geometry.span[0];
        self.pitch = columns.next_multiple_of(lanes) + (geometry.span[1] - 1) / geometry.step;
    }

    /// Takes the rows of `channels` in around `window`; `x [c_in, h, w]`.
    pub(super) fn fill(
        &mut self,
        level: Level,
        geometry: &Geometry,
        x: &[f32],
        channels: std::ops::Range<usize>,
        window: Window,
    ) {
        let [height, width] = geometry.input;
        self.values.resize(channels.len() * self.channel_stride(), 0.0);
        let first_row = (window.row * self.step) as isize + geometry.first[0];
        let first_column = (window.column * self.step) as isize + geometry.first[1];
        let (n_rows, step, n_columns) = (self.rows, self.step, self.pitch * self.step);
        // The input's row that row `i` of the strip takes, unless it is padding.
        let row = |i: usize| -> Option<&[f32]> {
            let channel = channels.start + i / n_rows;
            let row = usize::try_from(first_row + (i % n_rows) as isize).ok().filter(|&row| row < height)?;
            (channel < channels.end).then(|| &x[(channel * height + row) * width..][..width])
        };
        for (i, strip) in self.values.chunks_exact_mut(n_columns).enumerate() {
            if let Some(row) = row(i + PREFETCH) {
                let first = usize::try_from(first_column).unwrap_or(0).min(width);
                prefetch(&row[first..width.min(first + n_columns)]);
            }
            match row(i) {
                Some(row) => split(level, row, first_column, step, strip),
                None => strip.fill(0.0),
            }
        }
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// From one channel to the next.
    pub(super) fn channel_stride(&self) -> usize {
        self.rows * self.step * self.pitch
    }

    /// Where a point of the window stands.
    pub(super) fn start(&self, row: usize, column: usize) -> usize {
        row * self.step * self.step * self.pitch + column
    }

    /// Where a tap reads, from its point.
    pub(super) fn tap(&self, [row, column]: [usize; 2]) -> usize {
        (row * self.step + column % self.step) * self.pitch + column / self.step
    }
}

/// So many rows ahead are called into the cache: a channel's rows are too short for the CPU to foresee the next, and without it
/// a convolution of 128 channels takes 3 % longer, one into 3 channels 10 %.
const PREFETCH: usize = 4;

/// Calls `values` into the cache.
fn prefetch(values: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in values.chunks(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch has no effect but on the cache.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = values;
}

dispatch!(
    /// Row `r` of `strip [step, pitch]` takes the columns `first + r + step·i` of `row`; zeros where there are none.
    split = split_kernel(row: &[f32], first: isize, step: usize, strip: &mut [f32])
);

#[inline(always)]
fn split_kernel<L: Lanes>(row: &[f32], first: isize, step: usize, strip: &mut [f32]) {
    let pitch = strip.len() / step;
    let (width, stride) = (row.len() as isize, step as isize);
    for (phase, strip) in strip.chunks_exact_mut(pitch).enumerate() {
        let first = first + phase as isize;
        // The first and the end of those inside the row.
        let skip = (-first).max(0).unsigned_abs().div_ceil(step).min(pitch);
        let end = (width - first).max(0).unsigned_abs().div_ceil(step).clamp(skip, pitch);
        strip[..skip].fill(0.0);
        strip[end..].fill(0.0);
        if skip == end {
            continue;
        }
        let inner = &mut strip[skip..end];
        let row = &row[(first + skip as isize * stride) as usize..];
        match step {
            1 => inner.copy_from_slice(&row[..inner.len()]),
            2 => take::<2>(row, inner),
            4 => take::<4>(row, inner),
            _ => inner.iter_mut().zip(row.iter().step_by(step)).for_each(|(to, &from)| *to = from),
        }
    }
}

/// Every `STEP`th value.
#[inline(always)]
fn take<const STEP: usize>(row: &[f32], to: &mut [f32]) {
    let (whole, _) = row.as_chunks::<STEP>();
    let n = whole.len().min(to.len());
    for (to, from) in to[..n].iter_mut().zip(whole) {
        *to = from[0];
    }
    if let Some(last) = to.get_mut(n) {
        *last = row[n * STEP];
    }
}
