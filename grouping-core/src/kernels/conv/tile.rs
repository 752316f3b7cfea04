//! A register tile: the sums of some output channels at some vectors of points, over input channels and taps.
//!
//! Points lie in the lanes of vectors, weights are broadcast. Every sum is one chain, input channels outside and taps inside, whatever the
//! tile's size, so that a value depends neither on its place in the tile nor, with fused multiply-add, on the width of the vectors.
//!
//! Vectors are explicit, because LLVM does not keep a tile of f32 arrays in registers.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};

use super::vector::{Baseline, Vector};
use crate::simd::{Isa, Level};

/// The largest tile of an instruction set.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct TileSize {
    /// Points of a vector.
    pub(in crate::kernels) lanes: usize,
    /// Vectors.
    pub(in crate::kernels) vectors: usize,
    /// Output channels.
    pub(in crate::kernels) channels: usize,
}

impl TileSize {
    /// The most lanes of any instruction set.
    pub(in crate::kernels) const MAX_LANES: usize = 16;
    /// The most output channels of any instruction set.
    pub(in crate::kernels) const MAX_CHANNELS: usize = 8;
    /// The most vectors of any instruction set.
    pub(in crate::kernels) const MAX_VECTORS: usize = 6;

    /// What fits into the registers of `level` and suits `n_out` output channels: with few of them more vectors share a weight.
    pub(in crate::kernels) fn of(level: Level, n_out: usize) -> Self {
        match level.isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 if n_out <= 4 => Self { lanes: 16, vectors: 6, channels: 4 },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Self { lanes: 16, vectors: 3, channels: 8 },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 if n_out <= 3 => Self { lanes: 8, vectors: 3, channels: 3 },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Self { lanes: 8, vectors: 2, channels: 6 },
            Isa::Baseline => Self { lanes: 4, vectors: 2, channels: 4 },
        }
    }
}

/// What a tile sums.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct Terms<'a> {
    /// `[n_channels, taps, output channels]`.
    pub(in crate::kernels) weights: &'a [f32],
    pub(in crate::kernels) input: &'a [f32],
    /// Where each tap reads, from a vector's start.
    pub(in crate::kernels) taps: &'a [usize],
    /// From one input channel to the next in `input`.
    pub(in crate::kernels) channel_stride: usize,
    /// Input channels.
    pub(in crate::kernels) n_channels: usize,
}

/// `sums [output channels, vectors, lanes] +=` the terms at the vectors that start at `starts` in the input; where there is a `bias`, the sums
/// start from it instead. It has the number of output channels.
///
/// # Panics
/// If a slice is too short, or there are more channels or vectors than [`TileSize`] says.
pub(in crate::kernels) fn accumulate(
    level: Level,
    terms: Terms<'_>,
    starts: &[usize],
    n_out: usize,
    bias: Option<&[f32]>,
    sums: &mut [f32],
) {
    let size = TileSize::of(level, n_out);
    let n_terms = terms.n_channels * terms.taps.len();
    assert!(terms.weights.len() >= n_terms * n_out, "tile: too few weights");
    assert!(sums.len() >= n_out * starts.len() * size.lanes, "tile: too few sums");
    assert!(bias.is_none_or(|bias| bias.len() >= n_out), "tile: too few biases");
    if let (Some(tap), Some(start), 1..) = (terms.taps.iter().max(), starts.iter().max(), terms.n_channels) {
        let last = (terms.n_channels - 1) * terms.channel_stride + tap + start;
        assert!(last + size.lanes <= terms.input.len(), "tile: the input is too short");
    }
    // The last tile of many channels may have few, and then it has the vectors of many.
    assert!(
        (1..=size.channels).contains(&n_out) && (1..=size.vectors).contains(&starts.len()),
        "tile: {n_out} channels at {} vectors",
        starts.len()
    );
    // SAFETY: the asserts are what the tiles ask for; a level is made only where the CPU has its instructions.
    unsafe {
        match level.isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512_tile(terms, starts, n_out, bias, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2_tile(terms, starts, n_out, bias, sums),
            Isa::Baseline => baseline_tile(terms, starts, n_out, bias, sums),
        }
    }
}

/// Calls `$tile::<M, N>` for the number of output channels and vectors.
macro_rules! select {
    ($tile:ident($terms:ident, $starts:ident, $bias:ident, $sums:ident), $n_out:ident, [$($m:literal)*] by $ns:tt) => {
        match $n_out {
            $($m => select!(@vectors $tile::<$m>($terms, $starts, $bias, $sums), $ns),)*
            _ => unreachable!("`accumulate` has checked the number of channels"),
        }
    };
    (@vectors $tile:ident::<$m:literal>($($arg:ident),*), [$($n:literal)*]) => {
        select!(@call $tile, $m, ($($arg),*), $($n)*)
    };
    (@call $tile:ident, $m:literal, ($terms:ident, $starts:ident, $bias:ident, $sums:ident), $($n:literal)*) => {
        match $starts.len() {
            $($n => $tile::<$m, $n>($terms, $starts, $bias, $sums),)*
            _ => unreachable!("`accumulate` has checked the number of vectors"),
        }
    };
}

#[cfg(target_arch = "x86_64")]
unsafe fn avx512_tile(
    terms: Terms<'_>,
    starts: &[usize],
    n_out: usize,
    bias: Option<&[f32]>,
    sums: &mut [f32],
) {
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
    unsafe fn run<const M: usize, const N: usize>(
        terms: Terms<'_>,
        starts: &[usize],
        bias: Option<&[f32]>,
        sums: &mut [f32],
    ) {
        // SAFETY: as `accumulate` asserts.
        unsafe { tile::<__m512, M, N>(terms, starts, bias, sums) }
    }
    // SAFETY: as `accumulate` asserts.
    unsafe {
        if starts.len() <= 3 {
            select!(run(terms, starts, bias, sums), n_out, [1 2 3 4 5 6 7 8] by [1 2 3]);
        } else {
            select!(run(terms, starts, bias, sums), n_out, [1 2 3 4] by [4 5 6]);
        }
    }
}

#[cfg(target_arch = "x86_64")]
unsafe fn avx2_tile(
    terms: Terms<'_>,
    starts: &[usize],
    n_out: usize,
    bias: Option<&[f32]>,
    sums: &mut [f32],
) {
    #[target_feature(enable = "avx2,fma")]
    unsafe fn run<const M: usize, const N: usize>(
        terms: Terms<'_>,
        starts: &[usize],
        bias: Option<&[f32]>,
        sums: &mut [f32],
    ) {
        // SAFETY: as `accumulate` asserts.
        unsafe { tile::<__m256, M, N>(terms, starts, bias, sums) }
    }
    // SAFETY: as `accumulate` asserts.
    unsafe {
        if starts.len() <= 2 {
            select!(run(terms, starts, bias, sums), n_out, [1 2 3 4 5 6] by [1 2]);
        } else {
            select!(run(terms, starts, bias, sums), n_out, [1 2 3] by [3]);
        }
    }
}

unsafe fn baseline_tile(
    terms: Terms<'_>,
    starts: &[usize],
    n_out: usize,
    bias: Option<&[f32]>,
    sums: &mut [f32],
) {
    unsafe fn run<const M: usize, const N: usize>(
        terms: Terms<'_>,
        starts: &[usize],
        bias: Option<&[f32]>,
        sums: &mut [f32],
    ) {
        // SAFETY: as `accumulate` asserts.
        unsafe { tile::<Baseline, M, N>(terms, starts, bias, sums) }
    }
    // SAFETY: as `accumulate` asserts.
    unsafe { select!(run(terms, starts, bias, sums), n_out, [1 2 3 4] by [1 2]) }
}

/// The tile of `M` output channels and `N` vectors.
///
/// # Safety
/// The CPU has the instructions of `V`; there are `N` starts, and the slices are as long as [`accumulate`] asserts.
#[inline(always)]
unsafe fn tile<V: Vector, const M: usize, const N: usize>(
    terms: Terms<'_>,
    starts: &[usize],
    bias: Option<&[f32]>,
    sums: &mut [f32],
) {
    let out = sums.as_mut_ptr();
    // SAFETY: every pointer stays within its slice: channels below `n_channels` with the taps at each start were bounded by `accumulate`,
    // weights advance by M a term, and the sums are M·N vectors.
    unsafe {
        let mut sums = [[V::splat(0.0); N]; M];
        for (m, sums) in sums.iter_mut().enumerate() {
            for (n, sum) in sums.iter_mut().enumerate() {
                *sum = match bias {
                    Some(bias) => V::splat(*bias.get_unchecked(m)),
                    None => V::load(out.add((m * N + n) * V::LANES)),
                };
            }
        }
        let mut weights = terms.weights.as_ptr();
        let mut input = terms.input.as_ptr();
        let starts: [usize; N] = std::array::from_fn(|n| *starts.get_unchecked(n));
        for channel in 0..terms.n_channels {
            for &tap in terms.taps {
                let x = starts.map(|start| V::load(input.add(start + tap)));
                for (m, sums) in sums.iter_mut().enumerate() {
                    let weight = V::splat(*weights.add(m));
                    for (sum, x) in sums.iter_mut().zip(x) {
                        *sum = V::mul_add(weight, x, *sum);
                    }
                }
                weights = weights.add(M);
            }
            if channel + 1 < terms.n_channels {
                input = input.add(terms.channel_stride);
            }
        }
        for (m, sums) in sums.iter().enumerate() {
            for (n, sum) in sums.iter().enumerate() {
                sum.store(out.add((m * N + n) * V::LANES));
            }
        }
    }
}
