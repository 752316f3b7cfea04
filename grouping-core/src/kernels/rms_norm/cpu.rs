//! RMSNorm on rows of f32 and its gradient.
//!
//! With s = 1 / √(mean(x²) + ε) and g the gradient of y:
//! `∂x = s·(w∘g − x·s²·mean(x∘w∘g))`, `∂w = Σ_rows g ∘ x·s`.

use rayon::prelude::*;

use crate::kernels::buffer::ROWS_PER_TASK;
use crate::simd::{Lanes, Level, accumulate, dispatch};

/// `y [rows, hidden]` of `x [rows, hidden]`.
pub(super) fn forward(level: Level, x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    let task = ROWS_PER_TASK * weight.len();
    let mut y = vec![0.0; x.len()];
    if task > 0 {
        y.par_chunks_mut(task)
            .zip(x.par_chunks(task))
            .for_each(|(y, x)| forward_rows(level, x, weight, eps, y));
    }
    y
}

/// Turns the gradient of `y`, in place, into the gradient of `x`, and returns the gradient of `weight`.
pub(super) fn backward(level: Level, x: &[f32], weight: &[f32], eps: f32, grad: &mut [f32]) -> Vec<f32> {
    let hidden = weight.len();
    let task = ROWS_PER_TASK * hidden;
    if task == 0 {
        return Vec::new();
    }
    let mut partial = vec![0.0f32; x.len().div_ceil(task) * hidden];
    partial
        .par_chunks_mut(hidden)
        .zip(grad.par_chunks_mut(task).zip(x.par_chunks(task)))
        .for_each(|(sum, (grad, x))| backward_rows(level, x, weight, eps, grad, sum));
    let mut total = vec![0.0f64; hidden];
    for sum in partial.chunks_exact(hidden) {
        for (total, &term) in total.iter_mut().zip(sum) {
            *total += f64::from(term);
        }
    }
    total.into_iter().map(|sum| sum as f32).collect()
}

dispatch!(forward_rows = forward_kernel(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]));
dispatch!(backward_rows = backward_kernel(
    x: &[f32], weight: &[f32], eps: f32, grad: &mut [f32], weight_grad: &mut [f32]
));

#[inline(always)]
fn inverse_rms<L: Lanes>(x: &[f32], eps: f32) -> f32 {
    let square = accumulate(x.len(), |i, sum| L::mul_add(x[i], x[i], sum));
    1.0 / (square / x.len() as f32 + eps).sqrt()
}

#[inline(always)]
fn forward_kernel<L: Lanes>(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) {
    let hidden = weight.len();
    for (x, y) in x.chunks_exact(hidden).zip(y.chunks_exact_mut(hidden)) {
        let scale = inverse_rms::<L>(x, eps);
        for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
            *y = x * scale * w;
        }
    }
}

#[inline(always)]
fn backward_kernel<L: Lanes>(x: &[f32], weight: &[f32], eps: f32, grad: &mut [f32], weight_grad: &mut [f32]) {
    let hidden = weight.len();
    for (x, grad) in x.chunks_exact(hidden).zip(grad.chunks_exact_mut(hidden)) {
        let scale = inverse_rms::<L>(x, eps);
        let dot = {
            let (x, grad) = (&x[..hidden], &grad[..hidden]);
            accumulate(hidden, |i, sum| L::mul_add(x[i] * weight[i], grad[i], sum))
        };
        let along_x = dot / hidden as f32 * scale * scale;
        for (((grad, x), w), weight_grad) in grad.iter_mut().zip(x).zip(weight).zip(&mut *weight_grad) {
            *weight_grad = L::mul_add(*grad, x * scale, *weight_grad);
            *grad = scale * L::mul_add(*w, *grad, -x * along_x);
        }
    }
}
