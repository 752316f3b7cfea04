//! Latents decoded position by position, row by row (Minnen et al. 2018, arXiv 1809.02736): `mbt2018` and Cheng et al. 2020.
//!
//! A masked 5×5 convolution sees the two rows above and two positions to the left; 1×1 convolutions turn the hyperprior's output and this
//! context into scales and means. Sums are exact, so they may be cut: what follows from the hyperprior and from the rows above is
//! summed for a whole row at once, and only the rest waits for the symbols to the left.

use super::super::conv::{Conv, Phase};
use super::super::grid::Grid;
use super::super::kernel::{Form, LANES, MAX_PIXELS, MAX_TILE, Operands, Pair, Sums, Terms, Tile, sum_tile};
use super::super::limbs::{Limbs, split};
use super::super::network::{Layer, Network};
use super::super::parameters::{Thresholds, dequantised};
use super::super::requantise::{Curve, requantise};
use super::Symbols;
use crate::Result;
use crate::container::Role;

/// Positions that the masked kernel sees to the left, and rows above.
const MARGIN: usize = 2;

#[derive(Debug)]
pub(super) struct Serial {
    context: Conv,
    parameters: Vec<Conv>,
    thresholds: Thresholds,
}

/// The decoded latents of a row and the two above, in halves, with zeros around.
struct Window {
    pairs: usize,
    /// Positions of a row with its margins.
    pitch: usize,
    low: Vec<Pair>,
    high: Vec<Pair>,
    /// `[rows][pairs]`: whether a high half is not zero.
    active: Vec<bool>,
}

/// A vector of activations in halves.
struct Halves {
    low: Vec<Pair>,
    high: Vec<Pair>,
    active: Vec<bool>,
}

impl Halves {
    fn new(values: &[i32]) -> Self {
        let pairs = values.len().div_ceil(2);
        let mut halves =
            Self { low: vec![[0; 2]; pairs], high: vec![[0; 2]; pairs], active: vec![false; pairs] };
        split(values, values.len(), &mut halves.low, &mut halves.high, &mut halves.active);
        halves
    }
}

impl Window {
    fn new(channels: usize, width: usize) -> Self {
        let (pairs, pitch) = (channels.div_ceil(2), width + 2 * MARGIN + MAX_PIXELS);
        let zeros = vec![[0; 2]; (MARGIN + 1) * pitch * pairs];
        Self { pairs, pitch, low: zeros.clone(), high: zeros, active: vec![false; (MARGIN + 1) * pairs] }
    }

    /// Where the kernel's first column of its first row lies for column `x`.
    fn start(&self, x: usize) -> usize {
        x * self.pairs
    }

    fn put(&mut self, x: usize, latents: &[i32]) {
        let at = (MARGIN * self.pitch + x + MARGIN) * self.pairs
            ..(MARGIN * self.pitch + x + MARGIN + 1) * self.pairs;
        let (low, high) = (&mut self.low[at.clone()], &mut self.high[at]);
        split(latents, latents.len(), low, high, &mut self.active[MARGIN * self.pairs..]);
    }

    /// Moves up by one row.
    fn next_row(&mut self) {
        let row = self.pitch * self.pairs;
        for half in [&mut self.low, &mut self.high] {
            half.copy_within(row.., 0);
            half[MARGIN * row..].fill([0; 2]);
        }
        self.active.copy_within(self.pairs.., 0);
        self.active[MARGIN * self.pairs..].fill(false);
    }

    /// The terms of the taps in the rows above, or of those in the row itself.
    fn terms(&self, phase: &Phase, is_above: bool, only_active: bool) -> Terms {
        let mut terms = Terms::default();
        for (tap, &(dy, dx)) in phase.taps.iter().enumerate().filter(|(_, (dy, _))| (*dy < 0) == is_above) {
            let (row, column) = ((dy + MARGIN as isize) as usize, (dx + MARGIN as isize) as usize);
            for pair in 0..self.pairs {
                if !only_active || self.active[row * self.pairs + pair] {
                    let at = tap * self.pairs + pair;
                    terms.push((row * self.pitch + column) * self.pairs + pair, at, phase.runs[at]);
                }
            }
        }
        terms.finish();
        terms
    }
}

/// The terms of a 1×1 convolution's inputs `pairs`, whose activations begin at 0; `active`: only those.
fn terms(phase: &Phase, pairs: std::ops::Range<usize>, active: Option<&[bool]>) -> Terms {
    let mut terms = Terms::default();
    // A layer of zeros alone has no taps.
    for pair in pairs.clone().filter(|_| !phase.taps.is_empty()) {
        if active.is_none_or(|active| active[pair - pairs.start]) {
            terms.push(pair - pairs.start, pair, phase.runs[pair]);
        }
    }
    terms.finish();
    terms
}

/// Adds to the sums of all blocks at the position whose activations begin at `start`.
fn add(form: Form, phase: &Phase, halves: [&[Pair]; 2], of: [&Terms; 2], start: usize, sums: &mut [Sums]) {
    let [low, high] = [0, 1].map(|half| Operands {
        activations: halves[half],
        stride: 0,
        weights: &phase.weights,
        plane: phase.runs.len(),
        terms: of[half],
    });
    let tile = form.of_single_pixels().tile();
    let mut some: [Sums; MAX_TILE] = [[0; LANES]; MAX_TILE];
    let mut block = 0;
    while block < sums.len() {
        let blocks = if block + tile.blocks <= sums.len() { tile.blocks } else { 1 };
        let tile = Tile { pixels: 1, blocks };
        sum_tile(form, tile, &low, &high, start, block, &mut some[..blocks]);
        for (sums, some) in sums[block..block + blocks].iter_mut().zip(&some) {
            sums.iter_mut().zip(some).for_each(|(sum, some)| *sum += some);
        }
        block += blocks;
    }
}

/// The sums of all blocks at `n` positions, `[n][blocks]`, a tile of positions at a time.
fn row_sums(
    form: Form,
    phase: &Phase,
    halves: [&[Pair]; 2],
    of: [&Terms; 2],
    stride: usize,
    n: usize,
) -> Vec<Sums> {
    let [low, high] = [0, 1].map(|half| Operands {
        activations: halves[half],
        stride,
        weights: &phase.weights,
        plane: phase.runs.len(),
        terms: of[half],
    });
    let (n_blocks, pixels) = (phase.scales.len(), form.tile().pixels);
    let mut all: Vec<Sums> = vec![[0; LANES]; n * n_blocks];
    let mut some: [Sums; MAX_TILE] = [[0; LANES]; MAX_TILE];
    for block in 0..n_blocks {
        for x in (0..n).step_by(pixels) {
            let tile = Tile { pixels, blocks: 1 };
            sum_tile(form, tile, &low, &high, x * stride, block, &mut some[..pixels]);
            for (p, some) in some[..pixels.min(n - x)].iter().enumerate() {
                all[(x + p) * n_blocks + block] = *some;
            }
        }
    }
    all
}

/// The activations of all channels from their sums.
fn requantised(form: Form, phase: &Phase, curve: Curve, sums: &[Sums], n: usize) -> Vec<i32> {
    let blocks = sums.iter().zip(&phase.scales);
    let mut values: Vec<i32> =
        blocks.flat_map(|(sums, scale)| requantise(form.level(), sums, scale, curve)).collect();
    values.truncate(n);
    values
}

impl Serial {
    /// Of a masked convolution and a list of 1×1 convolutions.
    pub(super) fn new(context: Conv, parameters: Network, thresholds: Thresholds) -> Self {
        let convs = parameters.layers.into_iter().map(|layer| match layer {
            Layer::Conv(conv) => conv,
            _ => unreachable!("a serial prior's parameters are a list of convolutions"),
        });
        Self { context, parameters: convs.collect(), thresholds }
    }

    /// The decoded latents; `side` is the hyperprior's output.
    pub(super) fn walk(&self, form: Form, symbols: &mut dyn Symbols, side: &Grid) -> Result<Grid> {
        let m = self.context.in_channels();
        let (width, height) = (side.width, side.height);
        let mut y_hat = Grid::new(m, width, height, 0..height);
        if !symbols.begin(Role::Slice(0))? {
            return Ok(y_hat);
        }
        let (context, context_curve) = self.context.phase();
        let (first, first_curve) = self.parameters[0].phase();
        let side_pairs = side.channels.div_ceil(2);
        let first_pairs = self.parameters[0].in_channels().div_ceil(2);
        let on_side = terms(first, 0..side_pairs, None);
        let on_context = terms(first, side_pairs..first_pairs, None);
        let later: Vec<Terms> = self.parameters[1..]
            .iter()
            .map(|conv| terms(conv.phase().0, 0..conv.in_channels().div_ceil(2), None))
            .collect();
        let mut window = Window::new(m, width);
        let (above, left) = (window.terms(context, true, false), window.terms(context, false, false));
        let mut found = vec![0; m];
        for y in 0..height {
            let high = window.terms(context, true, true);
            let halves = [&window.low[..], &window.high];
            let mut contexts = row_sums(form, context, halves, [&above, &high], window.pairs, width);
            let limbs = Limbs::new(side, y as isize..y as isize + 1, 0, MAX_PIXELS);
            let high = terms(first, 0..side_pairs, Some(limbs.active(y as isize)));
            let halves = [&limbs.low[..], &limbs.high];
            let mut firsts = row_sums(form, first, halves, [&on_side, &high], side_pairs, width);
            let (n_context, n_first) = (context.scales.len(), first.scales.len());
            for x in 0..width {
                let high = window.terms(context, false, true);
                let sums = &mut contexts[x * n_context..(x + 1) * n_context];
                add(form, context, [&window.low, &window.high], [&left, &high], window.start(x), sums);
                let values = requantised(form, context, context_curve, sums, self.context.out_channels());
                let halves = Halves::new(&values);
                let high = terms(first, side_pairs..first_pairs, Some(&halves.active));
                let sums = &mut firsts[x * n_first..(x + 1) * n_first];
                add(form, first, [&halves.low, &halves.high], [&on_context, &high], 0, sums);
                let mut values =
                    requantised(form, first, first_curve, sums, self.parameters[0].out_channels());
                for (conv, low) in self.parameters[1..].iter().zip(&later) {
                    let (phase, curve) = conv.phase();
                    let halves = Halves::new(&values);
                    let high = terms(phase, 0..halves.low.len(), Some(&halves.active));
                    let mut sums: Vec<Sums> = vec![[0; LANES]; phase.scales.len()];
                    add(form, phase, [&halves.low, &halves.high], [low, &high], 0, &mut sums);
                    values = requantised(form, phase, curve, &sums, conv.out_channels());
                }
                let (scales, means) = values.split_at(m);
                let rows: Vec<u16> = scales.iter().map(|&scale| self.thresholds.row(scale)).collect();
                symbols.next([y, x], &rows, means, &mut found)?;
                let latents = y_hat.pixel_mut(y, x);
                for ((to, &symbol), &mean) in latents.iter_mut().zip(&found).zip(means) {
                    *to = dequantised(symbol, mean);
                }
                window.put(x, latents);
            }
            window.next_row();
        }
        symbols.end()?;
        Ok(y_hat)
    }
}
