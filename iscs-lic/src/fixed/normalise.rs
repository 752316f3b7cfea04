//! Generalised divisive normalisation and its inverse, by an integer root.
//!
//! `n_i = β_i + Σ_j γ_ij · x_j²`, `y_i = x_i · √n_i` (inverse, in synthesis) or `x_i / √n_i` (in analysis). Squares have 12 fractional bits,
//! n has 32 and the root `s = ⌊√n⌋` 16. The root is exact: an `f64` holds n < 2⁵², and the estimate is corrected by exact comparisons,
//! so that no rounding of a square root matters.

use grouping_core::simd::{Lanes, dispatch};

use super::kernel::{
    Block, Form, LANES, MAX_PIXELS, MAX_TILE, Operands, Pair, Sums, Terms, Tile, runs, sum_tile,
};
use super::limbs::split;
use super::quantise::{self, Named, PIXEL_WEIGHT};
use super::rounding::{FRACTION_BITS, nearest, power_of_two, saturate, shift};
use crate::Result;

/// Fractional bits of a norm.
const NORM_BITS: u32 = 32;
/// Fractional bits of its root.
const ROOT_BITS: u32 = NORM_BITS / 2;
/// Greatest norm.
const MAX_NORM: i64 = (1 << 52) - 1;
/// Greatest square: both halves of it are 16-bit integers.
const MAX_SQUARE: i64 = 0x7FFF_7FFF;
/// The norm's shift is at least 0.
const MIN_SHIFT: u32 = NORM_BITS - FRACTION_BITS;
/// Whether a normalisation divides or multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    Inverse,
}

#[derive(Debug)]
pub(crate) struct Normalise {
    channels: usize,
    direction: Direction,
    /// `[blocks][pairs]`.
    weights: Vec<Block>,
    terms: Terms,
    runs: Vec<u32>,
    scales: Vec<NormScale>,
}

#[derive(Clone, Debug)]
struct NormScale {
    multipliers: [i64; LANES],
    halves: [i64; LANES],
    shifts: [i64; LANES],
    betas: [i64; LANES],
}

impl Normalise {
    /// From β `[n]` and γ `[n, n]` of the formula.
    pub(crate) fn new(beta: &[f32], gamma: &[f32], direction: Direction, named: Named<'_>) -> Result<Self> {
        let channels = beta.len();
        let rows = quantise::rows(gamma, channels, PIXEL_WEIGHT, MIN_SHIFT, named)?;
        let (pairs, n_blocks) = (channels.div_ceil(2), channels.div_ceil(LANES));
        let mut weights: Vec<Block> = vec![[[0; 2]; LANES]; n_blocks * pairs];
        let one =
            NormScale { multipliers: [0; LANES], halves: [0; LANES], shifts: [0; LANES], betas: [0; LANES] };
        let mut scales = vec![one; n_blocks];
        for i in 0..channels {
            let (step, row) = (rows.steps[i], &rows.weights[i * channels..][..channels]);
            let magnitudes: i64 = row.iter().map(|&w| i64::from(w)).sum();
            if magnitudes * step.multiplier >= 1 << 30 {
                return Err(named.refuse("γ whose sums stay below 2³⁰", magnitudes * step.multiplier));
            }
            for (j, &w) in row.iter().enumerate() {
                weights[i / LANES * pairs + j / 2][i % LANES][j % 2] = w;
            }
            let beta = f64::from(beta[i]) * power_of_two(NORM_BITS as i32);
            if !(0.0..=MAX_NORM as f64).contains(&beta) {
                return Err(named.refuse("β of 0 to 2²⁰", beta));
            }
            let (scale, l) = (&mut scales[i / LANES], i % LANES);
            scale.multipliers[l] = step.multiplier;
            scale.shifts[l] = i64::from(step.shift - MIN_SHIFT);
            scale.halves[l] = (1 << scale.shifts[l]) >> 1;
            scale.betas[l] = nearest(beta);
        }
        let runs = runs(&weights, pairs);
        let mut terms = Terms::default();
        runs.iter().enumerate().for_each(|(pair, &run)| terms.push(pair, pair, run));
        terms.finish();
        Ok(Self { channels, direction, weights, terms, runs, scales })
    }

    /// Normalises pixels, `[pixels, channels]`, in place.
    pub(crate) fn apply(&self, form: Form, values: &mut [i32]) {
        let n_pixels = values.len() / self.channels;
        let stride = self.channels.div_ceil(2);
        let padded = (n_pixels + MAX_PIXELS) * stride;
        let (mut low, mut high): (Vec<Pair>, Vec<Pair>) = (vec![[0; 2]; padded], vec![[0; 2]; padded]);
        let mut active = vec![false; stride];
        let mut squares = vec![0; values.len()];
        square_all(form.level(), values, &mut squares);
        split(&squares, self.channels, &mut low, &mut high, &mut active);
        let mut of_high = Terms::default();
        for (pair, &run) in self.runs.iter().enumerate().filter(|(pair, _)| active[*pair]) {
            of_high.push(pair, pair, run);
        }
        of_high.finish();
        let weights = &self.weights;
        let low = Operands { activations: &low, stride, weights, plane: stride, terms: &self.terms };
        let high = Operands { activations: &high, terms: &of_high, ..low };
        let (n_blocks, tile) = (self.scales.len(), form.tile());
        let mut sums: [Sums; MAX_TILE] = [[0; LANES]; MAX_TILE];
        for x in (0..n_pixels).step_by(tile.pixels) {
            let mut block = 0;
            while block < n_blocks {
                let blocks = if block + tile.blocks <= n_blocks { tile.blocks } else { 1 };
                let tile = Tile { blocks, ..tile };
                let sums = &mut sums[..tile.pixels * blocks];
                sum_tile(form, tile, &low, &high, x * stride, block, sums);
                for p in 0..tile.pixels.min(n_pixels - x) {
                    for b in 0..blocks {
                        let first = (block + b) * LANES;
                        let n = LANES.min(self.channels - first);
                        let at = &mut values[(x + p) * self.channels + first..][..n];
                        let mut lanes = [0; LANES];
                        lanes[..n].copy_from_slice(at);
                        let scale = &self.scales[block + b];
                        scale_lanes(form.level(), &sums[p * blocks + b], scale, self.direction, &mut lanes);
                        at.copy_from_slice(&lanes[..n]);
                    }
                }
                block += blocks;
            }
        }
    }
}

dispatch!(square_all = square_kernel(values: &[i32], squares: &mut [i32]));

#[inline(always)]
fn square_kernel<L: Lanes>(values: &[i32], squares: &mut [i32]) {
    for (square, &v) in squares.iter_mut().zip(values) {
        *square = shift(i64::from(v) * i64::from(v), FRACTION_BITS).min(MAX_SQUARE) as i32;
    }
}

/// An integer of 0 to 2⁵² − 1 as the `f64` of its value, by its bits, which every instruction set has.
#[inline(always)]
fn exactly(v: i64) -> f64 {
    f64::from_bits((v as u64) | 0x4330_0000_0000_0000) - 4_503_599_627_370_496.0
}

/// A whole `f64` of 0 to 2⁵² − 1 as an integer.
#[inline(always)]
fn whole(v: f64) -> i64 {
    ((v + 4_503_599_627_370_496.0).to_bits() & 0x000F_FFFF_FFFF_FFFF) as i64
}

/// `⌊√n⌋` for 0 ≤ n < 2⁵²: an estimate within 1, corrected by comparisons of exact squares.
#[inline(always)]
fn root(n: i64) -> f64 {
    let n = exactly(n);
    // Adding and subtracting 2⁵² rounds to an integer: at most 1 from the floor.
    let mut s = (n.sqrt() + 4_503_599_627_370_496.0) - 4_503_599_627_370_496.0;
    s = if s * s > n { s - 1.0 } else { s };
    if (s + 1.0) * (s + 1.0) <= n { s + 1.0 } else { s }
}

dispatch!(
    scale_lanes = scale_kernel(sums: &Sums, scale: &NormScale, direction: Direction, values: &mut [i32; LANES])
);

#[inline(always)]
fn scale_kernel<L: Lanes>(sums: &Sums, scale: &NormScale, direction: Direction, values: &mut [i32; LANES]) {
    let mut roots = [0.0; LANES];
    for l in 0..LANES {
        let norm = (sums[l] * scale.multipliers[l] + scale.halves[l]) >> scale.shifts[l];
        roots[l] = root((norm + scale.betas[l]).min(MAX_NORM));
    }
    match direction {
        Direction::Inverse => {
            for l in 0..LANES {
                values[l] = saturate(shift(i64::from(values[l]) * whole(roots[l]), ROOT_BITS));
            }
        }
        Direction::Forward => {
            for l in 0..LANES {
                values[l] = quotient(values[l], roots[l]);
            }
        }
    }
}

/// `x · 2¹⁶ / s`, halves upwards, for a whole s > 0: `⌊(x · 2¹⁷ + s) / 2s⌋`.
#[inline(always)]
fn quotient(x: i32, s: f64) -> i32 {
    let s = whole(s);
    let quotient = ((i64::from(x) << (ROOT_BITS + 1)) + s).div_euclid((2 * s).max(1));
    saturate(quotient)
}

#[cfg(test)]
mod tests {
    use super::root;

    #[test]
    fn roots_are_floors() {
        let near_squares = (0..26).flat_map(|bits| {
            let s = (1i64 << bits) + (1 << bits) / 3;
            [s * s - 1, s * s, s * s + 1, s * s + 2 * s, s * s + 2 * s + 1]
        });
        let spread = (0..20_000).map(|i: i64| i.wrapping_mul(0x1E37_79B9_7F4A_7C15) & ((1 << 52) - 1));
        for n in near_squares.chain(spread).chain([0, 1, 2, 3, (1 << 52) - 1]) {
            let s = root(n) as i64;
            assert!(s * s <= n && n < (s + 1) * (s + 1), "the root of {n} is not {s}");
        }
    }
}
