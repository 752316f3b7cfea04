//! Cross-entropy on rows of f32 and its gradient.
//!
//! With mᵢ = max_c x[i, c], zᵢ = Σ_c e^{x[i, c] − mᵢ} and g the gradient of the loss:
//! `loss = Σᵢ (log zᵢ + mᵢ − x[i, tᵢ]) / n`, `∂x[i, c] = (e^{x[i, c] − mᵢ} / zᵢ − [c = tᵢ])·g / n`.
//! The sum over rows is in f64, by tasks and then over tasks, in order. The pairs (mᵢ, 1/zᵢ) are kept for the
//! backward pass; mᵢ + log zᵢ in one f32 would lose the digits of zᵢ where scores are large.

use rayon::prelude::*;

use crate::kernels::buffer::ROWS_PER_TASK;
use crate::simd::{Lanes, Level, accumulate, dispatch, exp, max};

/// The mean loss and each row's pair (mᵢ, 1/zᵢ).
pub(super) fn forward(level: Level, logits: &[f32], targets: &[usize]) -> (f32, Vec<f32>) {
    let n_rows = targets.len();
    let n_classes = logits.len() / n_rows;
    let mut norms = vec![0.0; 2 * n_rows];
    let sums: Vec<f64> = norms
        .par_chunks_mut(2 * ROWS_PER_TASK)
        .zip(logits.par_chunks(ROWS_PER_TASK * n_classes))
        .zip(targets.par_chunks(ROWS_PER_TASK))
        .map(|((norms, logits), targets)| forward_rows(level, logits, targets, norms))
        .collect();
    let loss = sums.iter().sum::<f64>() / n_rows as f64;
    (loss as f32, norms)
}

/// Turns `logits`, in place, into their gradient; `weight` is the gradient of the loss over the number of rows.
pub(super) fn backward(level: Level, logits: &mut [f32], targets: &[usize], norms: &[f32], weight: f32) {
    let n_classes = logits.len() / targets.len();
    logits
        .par_chunks_mut(ROWS_PER_TASK * n_classes)
        .zip(targets.par_chunks(ROWS_PER_TASK))
        .zip(norms.par_chunks(2 * ROWS_PER_TASK))
        .for_each(|((logits, targets), norms)| {
            backward_rows(level, logits, targets, norms, weight);
        });
}

dispatch!(
    /// The sum of the losses of the rows.
    forward_rows = forward_kernel(logits: &[f32], targets: &[usize], norms: &mut [f32]) -> f64
);
dispatch!(backward_rows = backward_kernel(
    logits: &mut [f32], targets: &[usize], norms: &[f32], weight: f32
));

#[inline(always)]
fn forward_kernel<L: Lanes>(logits: &[f32], targets: &[usize], norms: &mut [f32]) -> f64 {
    let n_classes = logits.len() / targets.len();
    let mut loss = 0.0;
    for ((row, &target), norm) in logits.chunks_exact(n_classes).zip(targets).zip(norms.chunks_exact_mut(2)) {
        let top = max(row);
        let sum = accumulate(n_classes, |i, sum| sum + exp::<L>(row[i] - top));
        norm.copy_from_slice(&[top, sum.recip()]);
        loss += f64::from(sum).ln() + (f64::from(top) - f64::from(row[target]));
    }
    loss
}

#[inline(always)]
fn backward_kernel<L: Lanes>(logits: &mut [f32], targets: &[usize], norms: &[f32], weight: f32) {
    let n_classes = logits.len() / targets.len();
    for ((row, &target), norm) in logits.chunks_exact_mut(n_classes).zip(targets).zip(norms.chunks_exact(2)) {
        let (top, scale) = (norm[0], norm[1] * weight);
        for value in row.iter_mut() {
            *value = exp::<L>(*value - top) * scale;
        }
        row[target] -= weight;
    }
}
