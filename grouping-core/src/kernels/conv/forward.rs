//! A convolution on plain slices of f32.
//!
//! The grid of points is cut into chunks of rows, which are tasks, and those into windows. For a block of input channels at a time a window
//! copies the rows that it reads ([`Strip`]), so that they and the block's weights stay in the cache, and runs over its points in register
//! tiles. Sums go on from block to block where they were left, so the cut changes no value. The cut depends on the shape alone.

use std::ops::Range;

use rayon::prelude::*;

use super::geometry::Geometry;
use super::options::{Finish, Rectifier};
use super::pack::{Strip, Weights, Window};
use super::tile::{Terms, TileSize, accumulate};
use crate::kernels::buffer::zeros;
use crate::simd::{Lanes, Level, dispatch};

/// How a grid is cut.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// Rows of the grid that one task computes.
    rows: usize,
    /// Columns of the grid that are in work at a time.
    columns: usize,
    /// Input channels that are in work at a time.
    channels: usize,
}

/// Points of a window, at most: the sums of 128 channels at so many fill two fifths of a cache of 1 MB.
const POINTS: usize = 768;
/// Columns of a window, at most.
const COLUMNS: usize = 192;
/// Values of the input in work at a time, about: a fifth of the cache.
const INPUTS: usize = 50_000;
/// Taps of a phase times input channels in work at a time: with 128 output channels their weights fill a fifth of the cache.
const TERMS: usize = 400;
/// Input channels in work at a time, at most.
const MAX_CHANNELS: usize = 512;

impl Cut {
    fn of(geometry: &Geometry) -> Self {
        let &Geometry { c_in, c_out, step, spread, .. } = geometry;
        let [height, width] = geometry.grid();
        // A phase has a part of the taps, and the more of them a tile sums at once, the less often its sums come and go.
        let terms = if spread == 1 { TERMS } else { 2 * TERMS };
        let channels = (terms / geometry.n_taps().max(1)).clamp(1, MAX_CHANNELS).min(c_in.max(1));
        let columns =
            width.div_ceil(width.div_ceil(COLUMNS)).next_multiple_of(TileSize::MAX_LANES).min(width);
        // With few output channels the sums are small, and reading the input weighs more: tasks share rows with their neighbours, the
        // fewer, the more rows they have.
        let few = (64 / c_out.max(1)).clamp(1, 16);
        let points = if spread == 1 { POINTS } else { POINTS / (2 * spread * spread) };
        let points = (points * few).min(INPUTS / (channels * step * step));
        Self { rows: (points / columns).clamp(1, height.div_ceil(4)), columns, channels }
    }
}

/// The result `[batch, c_out, h, w]` of `x [batch, c_in, h, w]`; `bias` has a value for each output channel.
pub(in crate::kernels) fn forward(
    level: Level,
    geometry: &Geometry,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    rectifier: Rectifier,
) -> Vec<f32> {
    let mut out = zeros(geometry.n_outputs());
    forward_into(level, geometry, x, weight, bias, Finish { rectifier, adds: false }, &mut out);
    out
}

/// Writes the result `[batch, c_out, h, w]` into `out`.
pub(super) fn forward_into(
    level: Level,
    geometry: &Geometry,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    finish: Finish,
    out: &mut [f32],
) {
    let [height, width] = geometry.output;
    let plane = height * width;
    if out.is_empty() {
        return;
    }
    let cut = Cut::of(geometry);
    let weights = Weights::pack(geometry, weight, cut.channels, TileSize::of(level, geometry.c_out).channels);
    let pass = Pass { level, geometry, weights: &weights, bias, finish, cut };
    let n_chunks = geometry.grid()[0].div_ceil(cut.rows);
    let mut tasks: Vec<Vec<&mut [f32]>> = Vec::new();
    tasks.resize_with(geometry.batch * n_chunks, || Vec::with_capacity(geometry.c_out));
    for (i, plane) in out.chunks_exact_mut(plane).enumerate() {
        let image = i / geometry.c_out;
        for (chunk, rows) in plane.chunks_mut(cut.rows * geometry.spread * width).enumerate() {
            tasks[image * n_chunks + chunk].push(rows);
        }
    }
    let image = geometry.c_in * geometry.input[0] * geometry.input[1];
    tasks.into_par_iter().enumerate().for_each_init(Scratch::default, |scratch, (i, mut rows)| {
        let x = &x[i / n_chunks * image..][..image];
        pass.rows(scratch, x, i % n_chunks * cut.rows, &mut rows);
    });
}

/// Buffers that one thread uses again and again.
#[derive(Debug, Default)]
struct Scratch {
    strip: Strip,
    /// For each tile, phase and block of output channels `[output channels, vectors, lanes]`.
    sums: Vec<f32>,
}

/// Some input channels around a window.
#[derive(Debug)]
struct Input<'a> {
    strip: &'a Strip,
    /// Where the taps of each phase stand in the strip.
    taps: &'a [Vec<usize>],
    channels: Range<usize>,
}

/// What the tasks share.
#[derive(Clone, Copy, Debug)]
struct Pass<'a> {
    level: Level,
    geometry: &'a Geometry,
    weights: &'a Weights,
    bias: &'a [f32],
    finish: Finish,
    cut: Cut,
}

impl Pass<'_> {
    fn size(&self) -> TileSize {
        TileSize::of(self.level, self.geometry.c_out)
    }

    /// The grid's rows from `first` on, into those rows of each output channel.
    fn rows(&self, scratch: &mut Scratch, x: &[f32], first: usize, out: &mut [&mut [f32]]) {
        let [height, width] = self.geometry.grid();
        let Cut { rows, columns, .. } = self.cut;
        let rows = rows.min(height - first);
        for column in (0..width).step_by(columns) {
            let window = Window { row: first, rows, column, columns: columns.min(width - column) };
            self.window(scratch, x, window, out);
        }
    }

    fn window(&self, scratch: &mut Scratch, x: &[f32], window: Window, out: &mut [&mut [f32]]) {
        let &Self { level, geometry, weights, .. } = self;
        let size = self.size();
        let Scratch { strip, sums } = scratch;
        strip.reshape(geometry, window.rows, window.columns, size.lanes);
        let vectors_of_row = window.columns.div_ceil(size.lanes);
        let vectors: Vec<Place> = (0..window.rows * vectors_of_row)
            .map(|i| Place { row: i / vectors_of_row, column: i % vectors_of_row * size.lanes })
            .collect();
        let taps: Vec<Vec<usize>> =
            geometry.phases.iter().map(|taps| taps.iter().map(|tap| strip.tap(tap.at)).collect()).collect();
        let sums_of_vector = taps.len() * geometry.c_out * size.lanes;
        let n_blocks = weights.blocks().count().max(1);
        // Sums that one block of input channels completes need not stay.
        let n_kept = if n_blocks == 1 { size.vectors } else { vectors.len() };
        sums.resize(n_kept * sums_of_vector, 0.0);
        for block in 0..n_blocks {
            // Without input channels one block of none, which takes the bias over.
            let channels = weights.blocks().nth(block).unwrap_or(0..0);
            strip.fill(level, geometry, x, channels.clone(), window);
            let input = Input { strip, taps: &taps, channels };
            for (i, vectors) in vectors.chunks(size.vectors).enumerate() {
                let first = if n_blocks == 1 { 0 } else { i * size.vectors * sums_of_vector };
                let sums = &mut sums[first..][..vectors.len() * sums_of_vector];
                self.tile(&input, block == 0, vectors, sums);
                if block + 1 == n_blocks {
                    self.finish(sums, vectors, window, out);
                }
            }
        }
    }

    /// Adds a block of input channels to the sums of a tile, `[phases, output channels, vectors, lanes]`.
    fn tile(&self, input: &Input<'_>, is_first: bool, vectors: &[Place], sums: &mut [f32]) {
        let (size, c_out) = (self.size(), self.geometry.c_out);
        let mut starts = [0; TileSize::MAX_VECTORS];
        for (start, place) in starts.iter_mut().zip(vectors) {
            *start = input.strip.start(place.row, place.column);
        }
        let sums_of_channel = vectors.len() * size.lanes;
        for (phase, sums) in sums.chunks_exact_mut(c_out * sums_of_channel).enumerate() {
            let taps = &input.taps[phase];
            for (i, sums) in sums.chunks_mut(size.channels * sums_of_channel).enumerate() {
                let first = i * size.channels;
                let terms = Terms {
                    weights: self.weights.of(&input.channels, phase, taps.len(), first),
                    input: input.strip.values(),
                    taps,
                    channel_stride: input.strip.channel_stride(),
                    n_channels: input.channels.len(),
                };
                let n_out = size.channels.min(c_out - first);
                let bias = is_first.then(|| &self.bias[first..]);
                accumulate(self.level, terms, &starts[..vectors.len()], n_out, bias, sums);
            }
        }
    }

    /// Writes the sums of a tile, `[phases, output channels, vectors, lanes]`, to where they belong.
    fn finish(&self, sums: &[f32], vectors: &[Place], window: Window, out: &mut [&mut [f32]]) {
        let geometry = self.geometry;
        let spread = geometry.spread;
        let width = geometry.output[1];
        let lanes = self.size().lanes;
        let row_of_phases = geometry.c_out * vectors.len() * lanes;
        for (phase_row, sums) in sums.chunks_exact(spread * row_of_phases).enumerate() {
            for (channel, out) in out.iter_mut().enumerate() {
                for (i, place) in vectors.iter().enumerate() {
                    let row = place.row * spread + phase_row;
                    let column = (window.column + place.column) * spread;
                    let n_points = lanes.min(window.columns - place.column);
                    // Rows of the last point may pass the end, as may columns.
                    let Some(out) = out.get_mut(row * width..(row + 1) * width) else { continue };
                    let end = width.min(column + n_points * spread);
                    let sums = &sums[(channel * vectors.len() + i) * lanes..];
                    write(self.level, sums, row_of_phases, self.finish, spread, &mut out[column..end]);
                }
            }
        }
    }
}

/// A vector's first point, from the window's.
#[derive(Clone, Copy, Debug)]
struct Place {
    row: usize,
    column: usize,
}

dispatch!(
    /// `out[spread·i + phase]` takes `sums[phase·stride + i]`.
    write = write_kernel(sums: &[f32], stride: usize, finish: Finish, spread: usize, out: &mut [f32])
);

#[inline(always)]
fn write_kernel<L: Lanes>(sums: &[f32], stride: usize, finish: Finish, spread: usize, out: &mut [f32]) {
    let slope = finish.rectifier.slope();
    let rectified = |x: f32| if x > 0.0 { x } else { slope * x };
    // Each a loop of its own.
    if spread == 1 && finish.is_plain() {
        out.copy_from_slice(&sums[..out.len()]);
    } else if finish.adds {
        write_by(sums, stride, |old, sum| rectified(old + sum), spread, out);
    } else {
        write_by(sums, stride, |_, sum| rectified(sum), spread, out);
    }
}

#[inline(always)]
fn write_by(sums: &[f32], stride: usize, put: impl Fn(f32, f32) -> f32, spread: usize, out: &mut [f32]) {
    if spread == 1 {
        out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = put(*out, sum));
    } else if spread == 2 {
        let odd = &sums[stride..];
        let (pairs, last) = out.as_chunks_mut::<2>();
        for ((pair, &even), &odd) in pairs.iter_mut().zip(sums).zip(odd) {
            *pair = [put(pair[0], even), put(pair[1], odd)];
        }
        if let [last] = last {
            *last = put(*last, sums[pairs.len()]);
        }
    } else {
        for (i, out) in out.iter_mut().enumerate() {
            *out = put(*out, sums[i % spread * stride + i / spread]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Geometry, Level, Rectifier, forward};
    use crate::kernels::conv::geometry::transposed_output;
    use crate::simd::Isa;

    fn wave(n: usize, step: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * step).sin()).collect()
    }

    #[test]
    fn every_level_gives_the_same_up_to_rounding_and_the_same_bytes_with_fused_arithmetic() {
        for (channels, [h, w], kernel, stride) in [
            ([3, 9], [5, 70], 5, 2),
            ([40, 13], [9, 11], 3, 1),
            ([150, 4], [3, 100], 1, 1),
            ([2, 3], [7, 7], 2, 3),
        ] {
            let [c_in, c_out] = channels;
            let (x, ordinary, transposed) =
                ([2, c_in, h, w], [c_out, c_in, kernel, kernel], [c_in, c_out, kernel, kernel]);
            let output = transposed_output([h, w], [kernel; 2], stride, kernel / 2, stride - 1);
            for geometry in [
                Geometry::ordinary(x, ordinary, stride, kernel / 2),
                Geometry::transposed(x, transposed, stride, kernel / 2, output),
            ] {
                let (x, weight) = (wave(2 * c_in * h * w, 0.37), wave(c_in * c_out * kernel * kernel, 0.71));
                let run =
                    |level| forward(level, &geometry, &x, &weight, &wave(c_out, 0.9), Rectifier::LeakyRelu);
                let all: Vec<_> = Level::supported().into_iter().map(|level| (level, run(level))).collect();
                let (fused, separate): (Vec<_>, Vec<_>) =
                    all.iter().partition(|(level, _)| level.isa() != Isa::Baseline);
                for (level, found) in &fused {
                    assert!(*found == fused[0].1, "{level:?} and {:?} differ", fused[0].0);
                    for (found, want) in found.iter().zip(&separate[0].1) {
                        // Sums of up to 360 products below 1.
                        assert!((found - want).abs() <= 2e-5, "{found} at {level:?}, {want} at the baseline");
                    }
                }
            }
        }
    }
}
