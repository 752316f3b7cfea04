//! Few stacked queries over many keys, as in decoding: keys and values are read once, in order, which is what such a step costs.
//!
//! A general product would pack the keys first, a second pass over them.

use super::heads::Rows;
use crate::simd::{LANES, Lanes, dispatch, sum_of};

/// Stacked queries up to which this form is taken.
pub(super) const FEW: usize = 16;
/// Keys that are read together.
const KEYS: usize = 4;

/// Rows from those that are read to those that memory is asked for.
const AHEAD: usize = 2 * KEYS;

/// Factor and extents of the products of one group.
#[derive(Clone, Copy)]
pub(super) struct Few {
    pub(super) scale: f32,
    pub(super) n_keys: usize,
    pub(super) dim: usize,
}

dispatch!(
    /// `scores [rows, n_keys] = scale · queries [rows, dim] · keysᵀ`.
    pub(super) scores = scores_kernel(few: Few, queries: &[f32], keys: Rows<'_>, scores: &mut [f32])
);
dispatch!(
    /// `out [rows, dim] = weights [rows, n_keys] · values`.
    pub(super) mix = mix_kernel(few: Few, weights: &[f32], values: Rows<'_>, out: &mut [f32])
);

/// Asks memory for the next rows from `first` on. The sums of one step keep the processor from looking so far ahead by itself.
#[inline(always)]
fn prefetch(few: Few, rows: Rows<'_>, first: usize) {
    #[cfg(target_arch = "x86_64")]
    for i in first..(first + KEYS).min(few.n_keys) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        for line in row(rows, i).chunks(LANES) {
            // SAFETY: a hint changes nothing, and the address is that of a borrowed value.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (few, rows, first);
}

#[inline(always)]
fn row<'a>(rows: Rows<'a>, i: usize) -> &'a [f32] {
    &rows.values[i * rows.stride..][..rows.dim]
}

#[inline(always)]
fn scores_kernel<L: Lanes>(few: Few, queries: &[f32], keys: Rows<'_>, scores: &mut [f32]) {
    let whole = few.n_keys / KEYS * KEYS;
    for first in (0..whole).step_by(KEYS) {
        prefetch(few, keys, first + AHEAD);
        let keys: [&[f32]; KEYS] = std::array::from_fn(|i| row(keys, first + i));
        for (query, scores) in queries.chunks_exact(few.dim).zip(scores.chunks_exact_mut(few.n_keys)) {
            let dots = dots::<L, KEYS>(query, keys);
            for (score, dot) in scores[first..first + KEYS].iter_mut().zip(dots) {
                *score = dot * few.scale;
            }
        }
    }
    for i in whole..few.n_keys {
        let key = row(keys, i);
        for (query, scores) in queries.chunks_exact(few.dim).zip(scores.chunks_exact_mut(few.n_keys)) {
            scores[i] = dots::<L, 1>(query, [key])[0] * few.scale;
        }
    }
}

/// The scalar products of one query with `N` keys of its length.
#[inline(always)]
fn dots<L: Lanes, const N: usize>(query: &[f32], keys: [&[f32]; N]) -> [f32; N] {
    let (chunks, tail) = query.as_chunks::<LANES>();
    let keys = keys.map(|key| key[..query.len()].as_chunks::<LANES>());
    let mut lanes = [[0.0f32; LANES]; N];
    for (c, query) in chunks.iter().enumerate() {
        for (lanes, (key, _)) in lanes.iter_mut().zip(&keys) {
            let (query, key) = (*query, key[c]);
            for ((sum, q), k) in lanes.iter_mut().zip(query).zip(key) {
                *sum = L::mul_add(q, k, *sum);
            }
        }
    }
    let mut sums = [0.0; N];
    for ((sum, lanes), (_, key)) in sums.iter_mut().zip(lanes).zip(&keys) {
        let tail = tail.iter().zip(*key).fold(0.0, |sum, (q, k)| L::mul_add(*q, *k, sum));
        *sum = sum_of(lanes) + tail;
    }
    sums
}

#[inline(always)]
fn mix_kernel<L: Lanes>(few: Few, weights: &[f32], values: Rows<'_>, out: &mut [f32]) {
    out.fill(0.0);
    let whole = few.n_keys / KEYS * KEYS;
    for first in (0..whole).step_by(KEYS) {
        prefetch(few, values, first + AHEAD);
        let [a, b, c, d]: [&[f32]; KEYS] = std::array::from_fn(|i| row(values, first + i));
        for (weights, out) in weights.chunks_exact(few.n_keys).zip(out.chunks_exact_mut(few.dim)) {
            let [wa, wb, wc, wd]: [f32; KEYS] = std::array::from_fn(|i| weights[first + i]);
            for ((((out, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                let sum = L::mul_add(wb, *b, L::mul_add(wa, *a, *out));
                *out = L::mul_add(wd, *d, L::mul_add(wc, *c, sum));
            }
        }
    }
    for i in whole..few.n_keys {
        let value = row(values, i);
        for (weights, out) in weights.chunks_exact(few.n_keys).zip(out.chunks_exact_mut(few.dim)) {
            for (out, value) in out.iter_mut().zip(value) {
                *out = L::mul_add(weights[i], *value, *out);
            }
        }
    }
}
