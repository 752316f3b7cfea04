//! Sums of products of 16-bit integers for a tile of pixels and output channels: the inner loop of every integer layer.
//!
//! Values are taken in pairs of input channels, so that one instruction of x86 (`pmaddwd`, `vpdpwssd`) multiplies two and adds them.
//! Terms are summed in `i32` in runs whose sums of magnitudes cannot leave it, and the runs in `i64`: every form and every size of a
//! tile gives the exact sum.
//!
//! The instructions are written out because LLVM 21 does not find them: 81 to 115 billion products a second on one core of a Zen 4,
//! against 15 to 27 for the same loops left to it.

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use grouping_core::simd::Level;

/// Output channels of a block.
pub(crate) const LANES: usize = 16;
/// Two neighbouring input channels.
pub(crate) type Pair = [i16; 2];
/// The weights of two input channels for the output channels of a block.
pub(crate) type Block = [Pair; LANES];
/// Exact sums of a block.
pub(crate) type Sums = [i64; LANES];

/// How sums are computed; every form gives the same integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    isa: Isa,
    tile: Tile,
    level: Level,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Isa {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Sse2,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

/// Pixels and blocks of output channels that are summed at once, in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) pixels: usize,
    pub(crate) blocks: usize,
}

/// The tiles that kernels are compiled for.
pub(crate) const TILES: [Tile; 5] = [
    Tile { pixels: 1, blocks: 1 },
    Tile { pixels: 1, blocks: 4 },
    Tile { pixels: 4, blocks: 1 },
    Tile { pixels: 6, blocks: 1 },
    Tile { pixels: 6, blocks: 2 },
];

/// Most pixels of a tile.
pub(crate) const MAX_PIXELS: usize = 6;
/// Most pixels times blocks of a tile.
pub(crate) const MAX_TILE: usize = 12;

impl Form {
    /// The fastest form of this CPU.
    pub fn detect() -> Self {
        let (isa, level) = *isas().last().expect("the portable form is always there");
        let (pixels, blocks) = match isa {
            Isa::Portable => (6, 1),
            #[cfg(target_arch = "x86_64")]
            Isa::Sse2 => (4, 1),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => (4, 1),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Vnni => (6, 2),
        };
        Self { isa, tile: Tile { pixels, blocks }, level }
    }

    /// Every form of this CPU with every size of a tile: for tests, which compare them.
    pub fn supported() -> Vec<Self> {
        isas().into_iter().flat_map(|(isa, level)| TILES.map(|tile| Self { isa, tile, level })).collect()
    }

    pub(crate) fn tile(self) -> Tile {
        self.tile
    }

    /// The same instructions, one pixel at a time.
    pub(crate) fn of_single_pixels(self) -> Self {
        Self { tile: Tile { pixels: 1, blocks: 4 }, ..self }
    }

    /// The instruction set for loops that LLVM vectorises itself.
    pub(crate) fn level(self) -> Level {
        self.level
    }
}

fn isas() -> Vec<(Isa, Level)> {
    let levels = Level::supported();
    #[allow(unused_mut, reason = "other targets add none")]
    let mut isas = vec![(Isa::Portable, levels[0])];
    #[cfg(target_arch = "x86_64")]
    {
        isas.extend([Isa::Sse2, Isa::Avx2, Isa::Avx512].into_iter().zip(levels));
        if let Some(&(Isa::Avx512, level)) = isas.last()
            && is_x86_feature_detected!("avx512vnni")
        {
            isas.push((Isa::Vnni, level));
        }
    }
    isas
}

/// A stretch of terms that lie next to each other in the activations and in the weights.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// From the tile's first pixel, in pairs.
    activation: usize,
    /// From the block's first weight, in pairs.
    weight: usize,
    len: usize,
}

/// The terms of a sum, in runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    segments: Vec<Segment>,
    /// Where each run ends in `segments`.
    ends: Vec<usize>,
    run: u32,
}

impl Terms {
    /// Adds a term of run `run`; runs ascend.
    pub(crate) fn push(&mut self, activation: usize, weight: usize, run: u32) {
        if run != self.run {
            self.finish();
            self.run = run;
        }
        let first = self.ends.last().copied().unwrap_or(0);
        if let Some(last) = self.segments[first..].last_mut()
            && last.activation + last.len == activation
            && last.weight + last.len == weight
        {
            last.len += 1;
        } else {
            self.segments.push(Segment { activation, weight, len: 1 });
        }
    }

    /// Ends the last run.
    pub(crate) fn finish(&mut self) {
        if self.ends.last().copied().unwrap_or(0) < self.segments.len() {
            self.ends.push(self.segments.len());
        }
    }
}

/// Largest sum of magnitudes of a run's weights in one lane: times 2¹⁵, it stays in `i32`.
const RUN_MAGNITUDES: i32 = (1 << 16) - 1;

/// The run of each of `n_terms` terms, so that no run of any lane can leave `i32`; `weights [blocks][terms]`.
pub(crate) fn runs(weights: &[Block], n_terms: usize) -> Vec<u32> {
    let magnitude = |[a, b]: Pair| i32::from(a).abs() + i32::from(b).abs();
    let n_blocks = weights.len().checked_div(n_terms).unwrap_or(0);
    let mut sums = vec![[0i32; LANES]; n_blocks];
    let mut run = 0;
    (0..n_terms)
        .map(|term| {
            let of_term = |block: usize| weights[block * n_terms + term].map(magnitude);
            let leaves = |(block, sums): (usize, &[i32; LANES])| {
                sums.iter().zip(of_term(block)).any(|(sum, more)| sum + more > RUN_MAGNITUDES)
            };
            if sums.iter().enumerate().any(leaves) {
                run += 1;
                sums.fill([0; LANES]);
            }
            for (block, sums) in sums.iter_mut().enumerate() {
                sums.iter_mut().zip(of_term(block)).for_each(|(sum, more)| *sum += more);
            }
            run
        })
        .collect()
}

/// What a tile is summed from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operands<'a> {
    pub(crate) activations: &'a [Pair],
    /// From pixel to pixel.
    pub(crate) stride: usize,
    pub(crate) weights: &'a [Block],
    /// From block to block.
    pub(crate) plane: usize,
    pub(crate) terms: &'a Terms,
}

/// Sums of the products of both halves, [`Operands`] of the low ones and of the high ones: `sums [pixels][blocks]`.
pub(crate) fn sum_tile(
    form: Form,
    tile: Tile,
    low: &Operands<'_>,
    high: &Operands<'_>,
    start: usize,
    block: usize,
    sums: &mut [Sums],
) {
    sums.fill([0; LANES]);
    if !high.terms.ends.is_empty() {
        add_tile(form, tile, high, start, block, sums);
        sums.iter_mut().flatten().for_each(|sum| *sum <<= 16);
    }
    add_tile(form, tile, low, start, block, sums);
}

/// Adds to `sums [pixels][blocks]` the products of the tile whose first pixel is at `start` and whose first block is `block`.
fn add_tile(form: Form, tile: Tile, operands: &Operands<'_>, start: usize, block: usize, sums: &mut [Sums]) {
    debug_assert_eq!(sums.len(), tile.pixels * tile.blocks, "one sum a pixel and block");
    match form.isa {
        Isa::Portable => portable::add_tile(tile, operands, start, block, sums),
        #[cfg(target_arch = "x86_64")]
        Isa::Sse2 => x86::add_tile_sse2(tile, operands, start, block, sums),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => x86::add_tile_avx2(tile, operands, start, block, sums),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => x86::add_tile_avx512(tile, operands, start, block, sums),
        #[cfg(target_arch = "x86_64")]
        Isa::Vnni => x86::add_tile_vnni(tile, operands, start, block, sums),
    }
}

/// Calls `$f::<pixels, blocks>(args…)` for one of [`TILES`].
macro_rules! for_tile {
    ($tile:expr, $f:ident($($arg:expr),*)) => {
        match ($tile.pixels, $tile.blocks) {
            (1, 1) => $f::<1, 1>($($arg),*),
            (1, 4) => $f::<1, 4>($($arg),*),
            (4, 1) => $f::<4, 1>($($arg),*),
            (6, 1) => $f::<6, 1>($($arg),*),
            (6, 2) => $f::<6, 2>($($arg),*),
            (pixels, blocks) => unreachable!("no kernel for {pixels} pixels and {blocks} blocks"),
        }
    };
}
use for_tile;

/// The activations of a segment for each pixel, and the weights for each block.
#[inline(always)]
fn slices<'a, const P: usize, const B: usize>(
    operands: &Operands<'a>,
    start: usize,
    block: usize,
    segment: Segment,
) -> ([&'a [Pair]; P], [&'a [Block]; B]) {
    let Segment { activation, weight, len } = segment;
    let (mut activations, mut weights): ([&[Pair]; P], [&[Block]; B]) = ([&[]; P], [&[]; B]);
    for (p, activations) in activations.iter_mut().enumerate() {
        *activations = &operands.activations[start + p * operands.stride + activation..][..len];
    }
    for (b, weights) in weights.iter_mut().enumerate() {
        *weights = &operands.weights[(block + b) * operands.plane + weight..][..len];
    }
    (activations, weights)
}

#[cfg(test)]
mod tests {
    use super::{Block, Form, LANES, Operands, Pair, Sums, TILES, Terms, add_tile};

    /// Extreme values among ordinary ones.
    fn value(i: usize, largest: i16) -> i16 {
        match i % 7 {
            0 => largest,
            1 => -largest,
            _ => (((i * 7919 + 13) % (2 * largest as usize + 1)) as i32 - i32::from(largest)) as i16,
        }
    }

    #[test]
    fn every_form_and_tile_gives_the_sum_in_64_bits() {
        let (n_pixels, n_blocks, len) = (6, 4, 9);
        let activations: Vec<Pair> =
            (0..n_pixels * 20).map(|i| [value(i, i16::MAX), value(3 * i + 1, i16::MAX)]).collect();
        let weights: Vec<Block> = (0..n_blocks * len)
            .map(|i| std::array::from_fn(|l| [value(i + 5 * l, 2047), value(2 * i + l, 2047)]))
            .collect();
        let mut terms = Terms::default();
        for k in 0..len {
            terms.push(k + usize::from(k > 4), k, (k / 3) as u32);
        }
        terms.finish();
        assert_eq!(terms.ends.len(), 3, "three runs");
        let operands =
            Operands { activations: &activations, stride: 10, weights: &weights, plane: len, terms: &terms };
        for form in Form::supported() {
            let tile = form.tile();
            let mut sums: Vec<Sums> = vec![[5; LANES]; tile.pixels * tile.blocks];
            add_tile(form, tile, &operands, 3, 0, &mut sums);
            for p in 0..tile.pixels {
                for b in 0..tile.blocks {
                    for l in 0..LANES {
                        let want: i64 = (0..len)
                            .map(|k| {
                                let a = activations[3 + p * 10 + k + usize::from(k > 4)];
                                let w = weights[b * len + k][l];
                                i64::from(a[0]) * i64::from(w[0]) + i64::from(a[1]) * i64::from(w[1])
                            })
                            .sum();
                        assert_eq!(sums[p * tile.blocks + b][l], 5 + want, "{form:?}, pixel {p}, lane {l}");
                    }
                }
            }
        }
        assert_eq!(Form::supported().len() % TILES.len(), 0, "every form with every tile");
    }
}
