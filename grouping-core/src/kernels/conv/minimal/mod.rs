//! A convolution by minimal filtering (Winograd 1980, "Arithmetic complexity of computations"; Lavin & Gray 2016, "Fast algorithms for
//! convolutional neural networks", §4), on plain slices of f32.
//!
//! Two neighbouring outputs `y₀ = d₀g₀ + d₁g₁ + d₂g₂`, `y₁ = d₁g₀ + d₂g₁ + d₃g₂` along an axis need four products, not six:
//! `m = (d₀ − d₂)·g₀, (d₁ + d₂)·(g₀ + g₁ + g₂)/2, (d₂ − d₁)·(g₀ − g₁ + g₂)/2, (d₁ − d₃)·g₂`, and `y₀ = m₀ + m₁ + m₂`, `y₁ = m₁ − m₂ − m₃`.
//! Two taps need three, `(d₀ − d₁)·g₀, d₁·(g₀ + g₁), −, (d₁ − d₂)·g₁`, and one tap two, `d₀·g₀, −, −, −d₁·g₀`, in the same places, so
//! that products of several kinds add up before the outputs are formed. On both axes a tile of 2×2 outputs of a 3×3 kernel takes 16
//! products, not 36. A stride of 2 splits the input, in a transposed convolution the output, into four phases of fewer taps: a 5×5
//! kernel takes 49 products, not 100.
//!
//! The products of a place of all tiles and channels are matrix products, `[c_out, c_in] · [c_in, tiles]`, by register tiles.
//!
//! Tiles start at even rows and columns, so a value depends on whether its row and column are even, and on nothing else of its position.

mod plan;
mod transform;

use std::ops::Range;

use rayon::prelude::*;

use self::plan::Phase;
pub(super) use self::plan::Plan;
use self::transform::{Inputs, Kind, OCTET, Outputs, input, interleave, output};
use super::geometry::Geometry;
use super::options::Finish;
use super::pack::{Strip, Window};
use super::tile::{Terms, TileSize, accumulate};
use crate::simd::Level;

/// Tiles in work at a time.
const TILES: usize = 48;
/// Buffers that one thread uses again and again.
#[derive(Debug, Default)]
struct Scratch {
    strip: Strip,
    /// Transformed inputs `[slices, block, TILES]`.
    inputs: Vec<f32>,
    /// Products `[16, tiles of output channels, groups of vectors, output channels, vectors]`.
    products: Vec<f32>,
    /// Outputs of a row of phases `[c_out, 2, 2·spread, TILES]`.
    outputs: Vec<f32>,
}

/// Writes the result `[batch, c_out, h, w]` of `x [batch, c_in, h, w]` into `out`; `bias` has a value for each output channel.
pub(super) fn forward_into(
    level: Level,
    plan: &Plan<'_>,
    x: &[f32],
    weights: &[f32],
    bias: &[f32],
    finish: Finish,
    out: &mut [f32],
) {
    let geometry = plan.geometry;
    let [height, width] = geometry.output;
    let plane = height * width;
    if out.is_empty() {
        return;
    }
    let weights = plan.pack(level, weights, TileSize::of(level, geometry.c_out).channels);
    let [tile_rows, tile_columns] = geometry.grid().map(|points| points.div_ceil(2));
    let octets = tile_columns.div_ceil(OCTET);
    let columns = octets.div_ceil(octets.div_ceil(TILES / OCTET)) * OCTET;
    let rows = (TILES / columns).min(tile_rows);
    let pass = Pass { level, plan, weights: &weights, bias, finish };
    let n_chunks = tile_rows.div_ceil(rows);
    let mut tasks: Vec<Vec<&mut [f32]>> = Vec::new();
    tasks.resize_with(geometry.batch * n_chunks, || Vec::with_capacity(geometry.c_out));
    for (i, plane) in out.chunks_exact_mut(plane).enumerate() {
        let image = i / geometry.c_out;
        for (chunk, rows) in plane.chunks_mut(rows * 2 * geometry.spread * width).enumerate() {
            tasks[image * n_chunks + chunk].push(rows);
        }
    }
    let image = geometry.c_in * geometry.input[0] * geometry.input[1];
    tasks.into_par_iter().enumerate().for_each_init(Scratch::default, |scratch, (i, mut out)| {
        let x = &x[i / n_chunks * image..][..image];
        let row = i % n_chunks * rows;
        for column in (0..tile_columns).step_by(columns) {
            let window = Window {
                row,
                rows: rows.min(tile_rows - row),
                column,
                columns: columns.min(tile_columns - column),
            };
            pass.window(scratch, x, window, &mut out);
        }
    });
}

/// What the tasks share.
#[derive(Clone, Copy, Debug)]
struct Pass<'a> {
    level: Level,
    plan: &'a Plan<'a>,
    weights: &'a [f32],
    bias: &'a [f32],
    finish: Finish,
}

impl Pass<'_> {
    /// The tiles of a window.
    fn window(&self, scratch: &mut Scratch, x: &[f32], window: Window, out: &mut [&mut [f32]]) {
        let &Self { level, plan, .. } = self;
        let geometry = plan.geometry;
        let Scratch { strip, inputs, products, outputs } = scratch;
        strip.reshape(&plan.tiles, window.rows, window.columns, OCTET);
        let octets_of_row = window.columns.div_ceil(OCTET);
        let octets: Vec<Octet> = (0..window.rows * octets_of_row)
            .map(|i| Octet { row: i / octets_of_row, column: i % octets_of_row * OCTET })
            .collect();
        let starts: Vec<usize> = octets.iter().map(|octet| strip.start(octet.row, octet.column)).collect();
        products.resize(16 * geometry.c_out * TILES, 0.0);
        outputs.resize(geometry.c_out * 4 * geometry.spread * TILES, 0.0);
        // Phases of the output read the same input, which is then copied once.
        let is_shared = plan.phases.len() > 1;
        if is_shared {
            strip.fill(level, &plan.tiles, x, 0..geometry.c_in, window);
        }
        for (number, phase) in plan.phases.iter().enumerate() {
            inputs.resize(phase.n_slices * plan.block * TILES, 0.0);
            for channels in plan.blocks() {
                if !is_shared {
                    strip.fill(level, &plan.tiles, x, channels.clone(), window);
                }
                let values =
                    &strip.values()[if is_shared { channels.start * strip.channel_stride() } else { 0 }..];
                for (i, part) in phase.parts.iter().enumerate() {
                    let read = |row: usize, column: usize| {
                        strip.tap([part.at[0] + row * geometry.step, part.at[1] + column * geometry.step])
                    };
                    let [rows, columns] = part.kinds.map(Kind::n_inputs);
                    let at = std::array::from_fn(|row| {
                        std::array::from_fn(|column| read(row.min(rows - 1), column.min(columns - 1)))
                    });
                    let slices = std::array::from_fn(|product| {
                        let slice = phase.products[product].iter().find(|(part, _)| *part == i);
                        slice.map_or(0, |(_, slice)| slice * plan.block * TILES)
                    });
                    let from = Inputs {
                        values,
                        channel_stride: strip.channel_stride(),
                        n_channels: channels.len(),
                        starts: &starts,
                        at,
                        slices,
                        tiles: TILES,
                    };
                    input(level, part.kinds, from, inputs);
                }
                self.multiply(phase, &channels, inputs, octets.len() * OCTET, products);
            }
            self.outputs(phase, number % geometry.spread, octets.len(), products, outputs);
            if number % geometry.spread + 1 == geometry.spread {
                self.write(outputs, number / geometry.spread, window, out);
            }
        }
    }

    fn size(&self) -> TileSize {
        TileSize::of(self.level, self.plan.geometry.c_out)
    }

    /// The groups of tiles that register tiles take, as they lie in the products.
    fn groups(&self, n_tiles: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let TileSize { lanes, vectors, .. } = self.size();
        let n_tiles = n_tiles.next_multiple_of(lanes);
        (0..n_tiles).step_by(lanes * vectors).map(move |first| first..n_tiles.min(first + lanes * vectors))
    }

    /// Adds the products of a block of input channels.
    fn multiply(
        &self,
        phase: &Phase,
        channels: &Range<usize>,
        inputs: &[f32],
        n_tiles: usize,
        products: &mut [f32],
    ) {
        let (size, c_out) = (self.size(), self.plan.geometry.c_out);
        let zeros = [0.0; TileSize::MAX_CHANNELS];
        let mut weights = &self.weights[phase.first_weight + channels.start * phase.n_slices * c_out..];
        for (parts, products) in phase.products.iter().zip(products.chunks_exact_mut(c_out * TILES)) {
            if parts.is_empty() {
                continue;
            }
            let taps: [usize; 4] =
                std::array::from_fn(|i| parts.get(i).map_or(0, |(_, slice)| slice * self.plan.block * TILES));
            for (i, products) in products.chunks_mut(size.channels * TILES).enumerate() {
                let n_out = size.channels.min(c_out - i * size.channels);
                let terms = Terms {
                    weights,
                    input: inputs,
                    taps: &taps[..parts.len()],
                    channel_stride: TILES,
                    n_channels: channels.len(),
                };
                for group in self.groups(n_tiles) {
                    let starts: [usize; TileSize::MAX_VECTORS] =
                        std::array::from_fn(|i| group.start + i * size.lanes);
                    let starts = &starts[..group.len() / size.lanes];
                    let sums = &mut products[group.start * n_out..][..group.len() * n_out];
                    let bias = (channels.start == 0).then_some(&zeros[..]);
                    accumulate(self.level, terms, starts, n_out, bias, sums);
                }
                weights = &weights[channels.len() * parts.len() * n_out..];
            }
        }
    }

    /// The outputs of a phase, which is the `column`th of a row of them.
    fn outputs(&self, phase: &Phase, column: usize, n_octets: usize, products: &[f32], outputs: &mut [f32]) {
        let Geometry { c_out, spread, .. } = *self.plan.geometry;
        let tile = self.size().channels;
        let n_tiles = n_octets * OCTET;
        for (channel, outputs) in outputs.chunks_exact_mut(4 * spread * TILES).enumerate() {
            let first = channel / tile * tile;
            let n_out = tile.min(c_out - first);
            for group in self.groups(n_tiles) {
                let at = first * TILES + group.start * n_out + (channel - first) * group.len();
                let from = Outputs {
                    products: &products[at..],
                    product_stride: c_out * TILES,
                    n_octets: (group.end.min(n_tiles) - group.start) / OCTET,
                    bias: self.bias[channel],
                    row_stride: 2 * spread * TILES,
                    column_stride: spread * TILES,
                };
                output(self.level, phase.kinds, from, &mut outputs[column * TILES + group.start..]);
            }
        }
    }

    /// Writes the outputs of a row of phases.
    fn write(&self, outputs: &[f32], phase_row: usize, window: Window, out: &mut [&mut [f32]]) {
        let Geometry { spread, output: [_, width], .. } = *self.plan.geometry;
        let tiles_of_row = window.columns.next_multiple_of(OCTET);
        let rows_of_channel = outputs.chunks_exact(4 * spread * TILES);
        for (out, outputs) in out.iter_mut().zip(rows_of_channel) {
            for (row, outputs) in outputs.chunks_exact(2 * spread * TILES).enumerate() {
                // Tiles of a row lie next to each other.
                for (row_of_tiles, columns) in (0..window.rows).zip((0..).step_by(tiles_of_row)) {
                    let row = (row_of_tiles * 2 + row) * spread + phase_row;
                    // The last tile may pass the end.
                    let Some(out) = out.get_mut(row * width..(row + 1) * width) else { continue };
                    let first = window.column * 2 * spread;
                    let end = width.min(first + window.columns * 2 * spread);
                    interleave(
                        self.level,
                        &outputs[columns..],
                        TILES,
                        2 * spread,
                        self.finish,
                        &mut out[first..end],
                    );
                }
            }
        }
    }
}

/// The first of eight tiles, from the window's first.
#[derive(Clone, Copy, Debug)]
struct Octet {
    row: usize,
    column: usize,
}

#[cfg(test)]
mod tests {
    use super::{Finish, Geometry, Level, Plan, forward_into};
    use crate::kernels::conv::Rectifier;
    use crate::kernels::conv::forward::forward as direct;
    use crate::kernels::conv::geometry::transposed_output;
    use crate::simd::Isa;

    fn wave(n: usize, step: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * step).sin()).collect()
    }

    #[test]
    fn every_level_gives_the_direct_sums_up_to_rounding_and_the_same_bytes_with_fused_arithmetic() {
        let mut n_checked = 0;
        for (channels, [h, w], kernel, stride) in [
            ([16, 20], [5, 70], 5, 2),
            ([40, 17], [9, 11], 3, 1),
            ([60, 16], [3, 100], 3, 1),
            ([20, 33], [1, 1], 5, 2),
            ([17, 19], [7, 200], 3, 2),
        ] {
            let [c_in, c_out] = channels;
            let (x, ordinary, transposed) =
                ([2, c_in, h, w], [c_out, c_in, kernel, kernel], [c_in, c_out, kernel, kernel]);
            let output = transposed_output([h, w], [kernel; 2], stride, kernel / 2, stride - 1);
            for geometry in [
                Geometry::ordinary(x, ordinary, stride, kernel / 2),
                Geometry::transposed(x, transposed, stride, kernel / 2, output),
            ] {
                let plan = Plan::new(&geometry).expect("a kernel that it suits");
                let (x, weight) = (wave(2 * c_in * h * w, 0.37), wave(c_in * c_out * kernel * kernel, 0.71));
                let (bias, rectifier) = (wave(c_out, 0.9), Rectifier::LeakyRelu);
                let mut fused: Option<Vec<f32>> = None;
                for level in Level::supported() {
                    let finish = Finish { rectifier, adds: false };
                    let mut found = vec![0.0; geometry.n_outputs()];
                    forward_into(level, &plan, &x, &weight, &bias, finish, &mut found);
                    let want = direct(level, &geometry, &x, &weight, &bias, rectifier);
                    for (found, want) in found.iter().zip(&want) {
                        // Sums of up to 540 products below 1.
                        assert!((found - want).abs() <= 1e-4, "{found}, directly {want}, at {level:?}");
                    }
                    if level.isa() != Isa::Baseline {
                        assert!(*fused.get_or_insert_with(|| found.clone()) == found, "{level:?} differs");
                    }
                    n_checked += 1;
                }
            }
        }
        assert!(n_checked >= 10, "{n_checked} checks");
    }
}
