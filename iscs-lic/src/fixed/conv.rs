//! Convolutions and transposed convolutions of integers.
//!
//! Each is a set of *phases*: a phase computes, for every position of the input's grid (or every `stride`-th), some output channels of
//! one output pixel, from taps at fixed offsets. A convolution is one phase; a transposed convolution of stride 2 and a
//! sub-pixel convolution are four, one for each output pixel of an input pixel. Few output channels (a picture's three) of all
//! phases are summed together, over all their taps.
//!
//! `out = saturate(f((m · Σ w·a + b + 2^(r−1)) >> r))` with the channel's step `m · 2⁻ʳ` and an activation function f.

use std::collections::BTreeSet;
use std::ops::Range;

use rayon::prelude::*;

use super::grid::Grid;
use super::kernel::{Block, Form, LANES, MAX_PIXELS, MAX_TILE, Operands, Sums, Terms, Tile, runs, sum_tile};
use super::limbs::Limbs;
use super::normalise::Normalise;
use super::quantise::{self, Named, Rows};
use super::requantise::{Curve, Scale, requantise};
use super::rounding::FRACTION_BITS;
use crate::Result;

/// What follows the sums of a layer.
#[derive(Debug)]
pub(crate) enum After {
    /// A function of each value.
    Curve(Curve),
    /// Divisive normalisation or its inverse, over the channels of a pixel.
    Normalise(Normalise),
}

/// Where a lane's value goes: row and column of the output pixel among those of its input pixel, and channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    y: usize,
    x: usize,
    channel: usize,
}

/// Offset of a row and a column from the input pixel.
pub(crate) type Offset = (isize, isize);

/// One lane before packing: where it goes, its row of weights, and its taps with their places in the kernel.
struct Lane {
    place: Place,
    row: usize,
    taps: Vec<(Offset, usize)>,
}

/// Output channels that are computed from the same taps.
#[derive(Debug)]
pub(crate) struct Phase {
    /// Ascending.
    pub(crate) taps: Vec<Offset>,
    places: Vec<Place>,
    /// `[blocks][taps][pairs]`.
    pub(crate) weights: Vec<Block>,
    /// The run of each term, `[taps][pairs]`.
    pub(crate) runs: Vec<u32>,
    /// One a block.
    pub(crate) scales: Vec<Scale>,
}

/// A convolution of either kind, with what follows it.
#[derive(Debug)]
pub(crate) struct Conv {
    in_channels: usize,
    out_channels: usize,
    stride: usize,
    /// Output rows and columns of an input pixel.
    up: usize,
    phases: Vec<Phase>,
    after: After,
}

/// The floats of a layer.
#[derive(Clone, Debug)]
pub(crate) struct Weights<'a> {
    /// `[out, in, k, k]`; of transposed convolutions `[in, out, k, k]`.
    pub(crate) shape: [usize; 4],
    pub(crate) values: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) named: Named<'a>,
}

/// The precision of a layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Precision {
    /// Greatest magnitude of a weight.
    pub(crate) weight: i16,
    /// Fractional bits of the result.
    pub(crate) fraction_bits: u32,
}

/// The taps of a kernel of odd side `k`, centred.
fn square(k: usize) -> Vec<(Offset, usize)> {
    let offset = |i: usize| i as isize - (k / 2) as isize;
    (0..k * k).map(|at| ((offset(at / k), offset(at % k)), at)).collect()
}

/// The phases of an input pixel's `up²` output pixels; one for all where their channels fit a block.
fn gathered(n_out: usize, up: usize, phase: impl Fn(usize) -> Vec<Lane>) -> Vec<Vec<Lane>> {
    let phases = (0..up * up).map(phase);
    if n_out * up * up <= LANES { vec![phases.flatten().collect()] } else { phases.collect() }
}

impl Conv {
    /// A convolution with `k / 2` rows and columns of zeros around, every `stride`-th position.
    pub(crate) fn plain(
        weights: &Weights<'_>,
        stride: usize,
        precision: Precision,
        after: After,
    ) -> Result<Self> {
        let [n_out, n_in, k, _] = weights.shape;
        let taps = square(k);
        let lane = |c| Lane { place: Place { y: 0, x: 0, channel: c }, row: c, taps: taps.clone() };
        let phases = vec![(0..n_out).map(lane).collect()];
        Self::build(weights, &weights.values, (n_in, n_out), (stride, 1), phases, precision, after)
    }

    /// A convolution whose channels `4c … 4c + 3` are the four pixels of output channel c, row by row.
    pub(crate) fn sub_pixel(weights: &Weights<'_>, precision: Precision, after: After) -> Result<Self> {
        let [n_rows, n_in, k, _] = weights.shape;
        let (n_out, taps) = (n_rows / 4, square(k));
        let phase = |i: usize| {
            let place = |c| Place { y: i / 2, x: i % 2, channel: c };
            let lane = |c| Lane { place: place(c), row: 4 * c + i, taps: taps.clone() };
            (0..n_out).map(lane).collect()
        };
        let phases = gathered(n_out, 2, phase);
        Self::build(weights, &weights.values, (n_in, n_out), (1, 2), phases, precision, after)
    }

    /// A transposed convolution of an odd kernel: `k / 2` rows and columns cut off, `stride` output pixels a pixel each way.
    pub(crate) fn transposed(
        weights: &Weights<'_>,
        stride: usize,
        precision: Precision,
        after: After,
    ) -> Result<Self> {
        let [n_in, n_out, k, _] = weights.shape;
        // Input i reaches output stride·i + kernel − k/2: output stride·q + phase takes input q + (phase + k/2 − kernel) / stride.
        let along = |phase: usize| -> Vec<(isize, usize)> {
            let reach = phase + k / 2;
            let reached = (0..k).rev().filter(|kernel| reach % stride == kernel % stride);
            reached.map(|kernel| ((reach as isize - kernel as isize) / stride as isize, kernel)).collect()
        };
        let phase = |i: usize| {
            let (y, x) = (i / stride, i % stride);
            let rows = along(y).into_iter();
            let taps: Vec<(Offset, usize)> = rows
                .flat_map(|(dy, ky)| along(x).into_iter().map(move |(dx, kx)| ((dy, dx), ky * k + kx)))
                .collect();
            let lane = |c| Lane { place: Place { y, x, channel: c }, row: c, taps: taps.clone() };
            (0..n_out).map(lane).collect()
        };
        let (kernel, values) = (k * k, &weights.values);
        let mut by_row = Vec::with_capacity(values.len());
        for row in 0..n_out {
            for input in 0..n_in {
                by_row.extend_from_slice(&values[(input * n_out + row) * kernel..][..kernel]);
            }
        }
        let phases = gathered(n_out, stride, phase);
        Self::build(weights, &by_row, (n_in, n_out), (1, stride), phases, precision, after)
    }

    /// `by_row`: the weights as `[rows][in][k²]`.
    fn build(
        weights: &Weights<'_>,
        by_row: &[f32],
        (in_channels, out_channels): (usize, usize),
        (stride, up): (usize, usize),
        phases: Vec<Vec<Lane>>,
        precision: Precision,
        after: After,
    ) -> Result<Self> {
        let more_bits = precision.fraction_bits - FRACTION_BITS;
        let rows =
            quantise::rows(by_row, weights.bias.len(), precision.weight, more_bits + 4, weights.named)?;
        let pack = |lanes: Vec<Lane>| Phase::pack(&lanes, &rows, weights, in_channels, more_bits);
        let phases = phases.into_iter().map(pack).collect::<Result<_>>()?;
        Ok(Self { in_channels, out_channels, stride, up, phases, after })
    }

    pub(crate) fn in_channels(&self) -> usize {
        self.in_channels
    }

    pub(crate) fn out_channels(&self) -> usize {
        self.out_channels
    }

    /// The only phase of a convolution of stride 1, and the function that follows it.
    pub(crate) fn phase(&self) -> (&Phase, Curve) {
        assert_eq!((self.phases.len(), self.stride, self.up), (1, 1, 1), "a convolution of stride 1");
        (&self.phases[0], self.curve())
    }

    fn curve(&self) -> Curve {
        if let After::Curve(curve) = self.after { curve } else { Curve::Identity }
    }

    /// Rows and columns of the result for a side of the input.
    pub(crate) fn out_len(&self, len: usize) -> usize {
        len.div_ceil(self.stride) * self.up
    }

    /// Which rows of an input of `height` rows the rows `out` of the result come from.
    pub(crate) fn rows_for(&self, out: &Range<usize>, height: usize) -> Range<usize> {
        let rows = self.reach(&self.positions(out));
        rows.start.max(0) as usize..(rows.end.max(0) as usize).min(height)
    }

    fn positions(&self, out: &Range<usize>) -> Range<usize> {
        out.start / self.up..out.end.div_ceil(self.up)
    }

    fn offsets(&self) -> impl Iterator<Item = Offset> {
        self.phases.iter().flat_map(|phase| phase.taps.iter().copied())
    }

    /// The input's rows, those outside of it too, for a range of positions.
    fn reach(&self, positions: &Range<usize>) -> Range<isize> {
        let first = self.offsets().map(|(y, _)| y).min().unwrap_or(0);
        let last = self.offsets().map(|(y, _)| y).max().unwrap_or(0);
        let at = |position: usize| (position * self.stride) as isize;
        at(positions.start) + first..at(positions.end - 1) + last + 1
    }

    /// The rows `out` of the result, and those that come with them; `input` holds [`Self::rows_for`] them.
    pub(crate) fn run(&self, form: Form, input: &Grid, out: &Range<usize>) -> Grid {
        assert_eq!(input.channels, self.in_channels, "channels of the input");
        let positions = self.positions(out);
        let left = self.offsets().map(|(_, x)| -x).max().unwrap_or(0).max(0);
        let right = self.offsets().map(|(_, x)| x).max().unwrap_or(0).max(0) as usize;
        let right = right + MAX_PIXELS * self.stride;
        let limbs = Limbs::new(input, self.reach(&positions), left as usize, right);
        let low: Vec<Terms> = self.phases.iter().map(|phase| phase.all_terms(&limbs)).collect();
        let (width, height) = (self.out_len(input.width), self.out_len(input.height));
        let rows = positions.start * self.up..positions.end * self.up;
        let mut result = Grid::new(self.out_channels, width, height, rows);
        let row_len = result.row_len();
        let bands = result.values.par_chunks_exact_mut((self.up * row_len).max(1));
        bands.enumerate().for_each(|(i, band)| {
            let y = ((positions.start + i) * self.stride) as isize;
            for (phase, low) in self.phases.iter().zip(&low) {
                self.run_phase(form, phase, &limbs, low, y, band, width / self.up);
            }
            if let After::Normalise(normalise) = &self.after {
                band.chunks_exact_mut(row_len).for_each(|row| normalise.apply(form, row));
            }
        });
        result
    }

    /// One phase of the output rows of the input row `y`.
    #[expect(clippy::too_many_arguments, reason = "an inner loop's operands")]
    fn run_phase(
        &self,
        form: Form,
        phase: &Phase,
        limbs: &Limbs,
        low: &Terms,
        y: isize,
        band: &mut [i32],
        n_positions: usize,
    ) {
        let high = phase.high_terms(limbs, y);
        let (stride, plane) = (self.stride * limbs.pairs, phase.runs.len());
        let weights = &phase.weights;
        let low = Operands { activations: &limbs.low, stride, weights, plane, terms: low };
        let high = Operands { activations: &limbs.high, terms: &high, ..low };
        let curve = self.curve();
        let start = phase.start(limbs, y);
        let (n_blocks, tile) = (phase.scales.len(), form.tile());
        let mut sums: [Sums; MAX_TILE] = [[0; LANES]; MAX_TILE];
        let mut block = 0;
        while block < n_blocks {
            let blocks = if block + tile.blocks <= n_blocks { tile.blocks } else { 1 };
            let tile = Tile { blocks, ..tile };
            for x in (0..n_positions).step_by(tile.pixels) {
                let sums = &mut sums[..tile.pixels * blocks];
                sum_tile(form, tile, &low, &high, start + x * stride, block, sums);
                for b in 0..blocks {
                    let scale = &phase.scales[block + b];
                    let places = &phase.places[(block + b) * LANES..];
                    for p in 0..tile.pixels.min(n_positions - x) {
                        let out = requantise(form.level(), &sums[p * blocks + b], scale, curve);
                        self.store(band, n_positions, x + p, &places[..LANES.min(places.len())], &out);
                    }
                }
            }
            block += blocks;
        }
    }

    /// Writes the lanes of input column `x` into the output rows of one input row.
    #[inline(always)]
    fn store(&self, band: &mut [i32], n_positions: usize, x: usize, places: &[Place], out: &[i32; LANES]) {
        let at = |place: Place| {
            ((place.y * n_positions + x) * self.up + place.x) * self.out_channels + place.channel
        };
        let (first, last) = (at(places[0]), at(places[places.len() - 1]));
        if last - first + 1 == places.len() {
            band[first..=last].copy_from_slice(&out[..places.len()]);
        } else {
            places.iter().zip(out).for_each(|(&place, &v)| band[at(place)] = v);
        }
    }
}

impl Phase {
    fn pack(
        lanes: &[Lane],
        rows: &Rows,
        layer: &Weights<'_>,
        in_channels: usize,
        more_bits: u32,
    ) -> Result<Self> {
        let [.., k, _] = layer.shape;
        let weight = |row: usize, input: usize, at: usize| {
            if input < in_channels { rows.weights[(row * in_channels + input) * k * k + at] } else { 0 }
        };
        // Taps that are zero in every lane are left out: those under a mask.
        let is_used = |row: usize, at: usize| (0..in_channels).any(|input| weight(row, input, at) != 0);
        let used = lanes.iter().flat_map(|lane| {
            let taps = lane.taps.iter().filter(|&&(_, at)| is_used(lane.row, at));
            taps.map(|&(offset, _)| offset)
        });
        let taps: Vec<Offset> = used.collect::<BTreeSet<_>>().into_iter().collect();
        let (pairs, n_blocks) = (in_channels.div_ceil(2), lanes.len().div_ceil(LANES));
        let mut weights: Vec<Block> = vec![[[0; 2]; LANES]; n_blocks * taps.len() * pairs];
        for (i, lane) in lanes.iter().enumerate() {
            for &(offset, at) in &lane.taps {
                let Ok(tap) = taps.binary_search(&offset) else { continue };
                for pair in 0..pairs {
                    let to = &mut weights[((i / LANES) * taps.len() + tap) * pairs + pair][i % LANES];
                    *to = [0, 1].map(|odd| weight(lane.row, 2 * pair + odd, at));
                }
            }
        }
        let scales = lanes
            .chunks(LANES)
            .map(|lanes| {
                let mut scale = Scale::default();
                for (l, lane) in lanes.iter().enumerate() {
                    let step = rows.steps[lane.row];
                    let bias = quantise::bias(layer.bias[lane.row], step, layer.named)?;
                    scale.set(l, step.multiplier, bias, step.shift - more_bits);
                }
                Ok(scale)
            })
            .collect::<Result<_>>()?;
        let places = lanes.iter().map(|lane| lane.place).collect();
        let runs = runs(&weights, taps.len() * pairs);
        Ok(Self { taps, places, weights, runs, scales })
    }

    /// The first tap of the first position of row `y`.
    fn start(&self, limbs: &Limbs, y: isize) -> usize {
        self.taps.first().map_or(0, |&(dy, dx)| limbs.at(y + dy, dx))
    }

    /// Where a tap lies, from the first one.
    fn offset(&self, limbs: &Limbs, (dy, dx): Offset) -> usize {
        let (first_y, first_x) = self.taps[0];
        let rows = (dy - first_y) * limbs.pitch as isize;
        ((rows + dx - first_x) * limbs.pairs as isize) as usize
    }

    fn all_terms(&self, limbs: &Limbs) -> Terms {
        let mut terms = Terms::default();
        for (tap, &offset) in self.taps.iter().enumerate() {
            for pair in 0..limbs.pairs {
                let at = tap * limbs.pairs + pair;
                terms.push(self.offset(limbs, offset) + pair, at, self.runs[at]);
            }
        }
        terms.finish();
        terms
    }

    /// The terms of row `y` whose high halves are not all zero.
    fn high_terms(&self, limbs: &Limbs, y: isize) -> Terms {
        let mut terms = Terms::default();
        for (tap, &(dy, dx)) in self.taps.iter().enumerate() {
            for (pair, _) in limbs.active(y + dy).iter().enumerate().filter(|(_, active)| **active) {
                let at = tap * limbs.pairs + pair;
                terms.push(self.offset(limbs, (dy, dx)) + pair, at, self.runs[at]);
            }
        }
        terms.finish();
        terms
    }
}
