//! The sums by `pmaddwd` of SSE2, which every x86-64 has, of AVX2 and of AVX-512, and by `vpdpwssd` of AVX-512 VNNI.

use std::arch::x86_64::{
    __m128i, __m256i, __m512i, _mm_add_epi32, _mm_madd_epi16, _mm_set1_epi32, _mm_setzero_si128,
    _mm256_add_epi32, _mm256_madd_epi16, _mm256_set1_epi32, _mm256_setzero_si256, _mm512_add_epi32,
    _mm512_dpwssd_epi32, _mm512_madd_epi16, _mm512_set1_epi32, _mm512_setzero_si512,
};

use super::{Block, LANES, Operands, Pair, Sums, Tile, for_tile, slices};

/// Both values of a pair in one lane.
#[inline(always)]
fn lane([low, high]: Pair) -> i32 {
    i32::from(low as u16) | (i32::from(high) << 16)
}

#[inline(always)]
fn of_512(block: &Block) -> __m512i {
    // SAFETY: both are 64 bytes of plain integers.
    unsafe { std::mem::transmute_copy(block) }
}

#[inline(always)]
fn of_256(block: &Block) -> [__m256i; 2] {
    // SAFETY: both are 64 bytes of plain integers.
    unsafe { std::mem::transmute_copy(block) }
}

#[inline(always)]
fn of_128(block: &Block) -> [__m128i; 4] {
    // SAFETY: both are 64 bytes of plain integers.
    unsafe { std::mem::transmute_copy(block) }
}

#[inline(always)]
fn lanes_of_512(run: __m512i) -> [i32; LANES] {
    // SAFETY: both are 64 bytes of plain integers.
    unsafe { std::mem::transmute(run) }
}

#[inline(always)]
fn lanes_of_256(run: [__m256i; 2]) -> [i32; LANES] {
    // SAFETY: both are 64 bytes of plain integers.
    unsafe { std::mem::transmute(run) }
}

#[inline(always)]
fn lanes_of_128(run: [__m128i; 4]) -> [i32; LANES] {
    // SAFETY: both are 64 bytes of plain integers.
    unsafe { std::mem::transmute(run) }
}

/// One function for an instruction set: zero runs, add the products of a pair, give the lanes back.
macro_rules! tile_kernel {
    ($name:ident, $features:literal, $vector:ty, $zero:expr, $load:ident, $broadcast:ident, $add:expr, $lanes:ident) => {
        pub(super) fn $name(
            tile: Tile,
            operands: &Operands<'_>,
            start: usize,
            block: usize,
            sums: &mut [Sums],
        ) {
            #[target_feature(enable = $features)]
            fn sized<const P: usize, const B: usize>(
                operands: &Operands<'_>,
                start: usize,
                block: usize,
                sums: &mut [Sums],
            ) {
                let mut first = 0;
                for &end in &operands.terms.ends {
                    let mut run: [[$vector; B]; P] = [[$zero; B]; P];
                    for &segment in &operands.terms.segments[first..end] {
                        let (activations, weights) = slices::<P, B>(operands, start, block, segment);
                        for k in 0..segment.len {
                            let mut loaded: [$vector; B] = [$zero; B];
                            for b in 0..B {
                                loaded[b] = $load(&weights[b][k]);
                            }
                            for p in 0..P {
                                let pair = $broadcast(lane(activations[p][k]));
                                for b in 0..B {
                                    run[p][b] = $add(run[p][b], pair, loaded[b]);
                                }
                            }
                        }
                    }
                    first = end;
                    for p in 0..P {
                        for b in 0..B {
                            let (lanes, sums) = ($lanes(run[p][b]), &mut sums[p * B + b]);
                            for l in 0..LANES {
                                sums[l] += i64::from(lanes[l]);
                            }
                        }
                    }
                }
            }
            // SAFETY: a form of this instruction set is made only where the CPU has it.
            unsafe { for_tile!(tile, sized(operands, start, block, sums)) }
        }
    };
}

tile_kernel!(
    add_tile_sse2,
    "sse2",
    [__m128i; 4],
    [_mm_setzero_si128(); 4],
    of_128,
    _mm_set1_epi32,
    |run: [__m128i; 4], pair, weights: [__m128i; 4]| {
        [0, 1, 2, 3].map(|q| _mm_add_epi32(run[q], _mm_madd_epi16(pair, weights[q])))
    },
    lanes_of_128
);
tile_kernel!(
    add_tile_avx2,
    "avx2,fma",
    [__m256i; 2],
    [_mm256_setzero_si256(); 2],
    of_256,
    _mm256_set1_epi32,
    |run: [__m256i; 2], pair, weights: [__m256i; 2]| {
        [0, 1].map(|h| _mm256_add_epi32(run[h], _mm256_madd_epi16(pair, weights[h])))
    },
    lanes_of_256
);
tile_kernel!(
    add_tile_avx512,
    "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma",
    __m512i,
    _mm512_setzero_si512(),
    of_512,
    _mm512_set1_epi32,
    |run, pair, weights| _mm512_add_epi32(run, _mm512_madd_epi16(pair, weights)),
    lanes_of_512
);
tile_kernel!(
    add_tile_vnni,
    "avx512f,avx512dq,avx512vl,avx512bw,avx512vnni,avx2,fma",
    __m512i,
    _mm512_setzero_si512(),
    of_512,
    _mm512_set1_epi32,
    |run, pair, weights| _mm512_dpwssd_epi32(run, pair, weights),
    lanes_of_512
);
