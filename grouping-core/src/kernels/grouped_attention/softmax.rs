//! Softmax of rows of scores and its gradient, with what [`Rules`] says of each row.
//!
//! A row of scores becomes `exp(score − max)`; its normalisation 1/Σ is left to the result, which has fewer entries.

use super::plan::Rules;
use crate::simd::{LANES, Lanes, accumulate, dispatch, exp, max};

/// Rows of scores `[rows, n_keys]`, the first being row `first` of the group.
pub(super) struct Block<'a> {
    pub(super) rules: Rules<'a>,
    pub(super) first: usize,
    pub(super) n_keys: usize,
}

dispatch!(
    /// Turns scores into weights before normalisation, dropped ones zero; writes each row's maximum and 1/Σ to `norms`.
    pub(super) softmax_weights = weights_kernel(block: &Block<'_>, scores: &mut [f32], norms: &mut [f32])
);
dispatch!(
    /// Turns scores S into the gradient of S and weights P (dropped ones zero): `scores` becomes P, `grads` (∂P) becomes ∂S.
    pub(super) softmax_gradients = gradients_kernel(block: &Block<'_>, norms: &[f32], scores: &mut [f32], grads: &mut [f32])
);
dispatch!(
    /// Multiplies each row of `out [rows, dim]` by its 1/Σ.
    pub(super) normalise_rows = normalise_kernel(norms: &[f32], dim: usize, out: &mut [f32])
);

/// Adds the mask, and −∞ to what the row does not see.
#[inline(always)]
fn hide(block: &Block<'_>, row: usize, scores: &mut [f32]) {
    let row = block.first + row;
    if let Some(mask) = block.rules.mask(row) {
        for (score, mask) in scores.iter_mut().zip(mask) {
            *score += mask;
        }
    }
    let visible = block.rules.visible(row);
    let n = scores.len();
    scores[..visible.start.min(n)].fill(f32::NEG_INFINITY);
    scores[visible.end.min(n)..].fill(f32::NEG_INFINITY);
}

/// Turns scores into `exp(score − top)` and returns their sum.
#[inline(always)]
fn exponentials<L: Lanes>(scores: &mut [f32], top: f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let mut add = |chunk: &mut [f32; LANES]| {
        for (lane, score) in lanes.iter_mut().zip(chunk) {
            *score = exp::<L>(*score - top);
            *lane += *score;
        }
    };
    let (chunks, tail) = scores.as_chunks_mut::<LANES>();
    chunks.iter_mut().for_each(&mut add);
    if !tail.is_empty() {
        // Whole vectors are faster than up to 15 scalars; exp(−∞) adds nothing.
        let mut padded = [f32::NEG_INFINITY; LANES];
        padded[..tail.len()].copy_from_slice(tail);
        add(&mut padded);
        tail.copy_from_slice(&padded[..tail.len()]);
    }
    crate::simd::sum_of(lanes)
}

#[inline(always)]
fn weights_kernel<L: Lanes>(block: &Block<'_>, scores: &mut [f32], norms: &mut [f32]) {
    let mut factors = vec![0.0; block.n_keys];
    let rows = scores.chunks_exact_mut(block.n_keys).zip(norms.chunks_exact_mut(2));
    for (row, (scores, norm)) in rows.enumerate() {
        hide(block, row, scores);
        let top = max(scores);
        // A row that sees nothing has weights of zero, not 0/0.
        let top = if top == f32::NEG_INFINITY { 0.0 } else { top };
        let sum = exponentials::<L>(scores, top);
        norm[0] = top;
        norm[1] = if sum == 0.0 { 0.0 } else { sum.recip() };
        if block.rules.factors(block.first + row, &mut factors) {
            for (score, factor) in scores.iter_mut().zip(&factors) {
                *score *= factor;
            }
        }
    }
}

#[inline(always)]
fn gradients_kernel<L: Lanes>(block: &Block<'_>, norms: &[f32], scores: &mut [f32], grads: &mut [f32]) {
    let n_keys = block.n_keys;
    let mut factors = vec![1.0; n_keys];
    let rows = scores.chunks_exact_mut(n_keys).zip(grads.chunks_exact_mut(n_keys)).zip(norms.chunks_exact(2));
    for (row, ((scores, grads), norm)) in rows.enumerate() {
        hide(block, row, scores);
        let (top, scale) = (norm[0], norm[1]);
        for score in scores.iter_mut() {
            *score = exp::<L>(*score - top) * scale;
        }
        let drops = block.rules.factors(block.first + row, &mut factors);
        if drops {
            for (grad, factor) in grads.iter_mut().zip(&factors) {
                *grad *= factor;
            }
        }
        let mean = {
            let (weights, grads) = (&scores[..n_keys], &grads[..n_keys]);
            accumulate(n_keys, |i, sum| L::mul_add(weights[i], grads[i], sum))
        };
        for (grad, weight) in grads.iter_mut().zip(&*scores) {
            *grad = weight * (*grad - mean);
        }
        if drops {
            for (weight, factor) in scores.iter_mut().zip(&factors) {
                *weight *= factor;
            }
        }
    }
}

#[inline(always)]
fn normalise_kernel<L: Lanes>(norms: &[f32], dim: usize, out: &mut [f32]) {
    for (out, norm) in out.chunks_exact_mut(dim).zip(norms.chunks_exact(2)) {
        for entry in out {
            *entry = L::mul_add(*entry, norm[1], 0.0);
        }
    }
}
