//! Layer normalisation on rows of f32 and its gradient.
//!
//! With s = 1 / √(var(x) + ε), z = (x − mean(x))·s and g the gradient of y:
//! `∂x = s·(w∘g − mean(w∘g) − z·mean(w∘g∘z))`, `∂w = Σ_rows g∘z`, `∂b = Σ_rows g`.

use rayon::prelude::*;

use crate::kernels::buffer::ROWS_PER_TASK;
use crate::simd::{Lanes, Level, accumulate, dispatch};

/// Scale and shift.
#[derive(Clone, Copy)]
pub(super) struct Affine<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
}

/// `y [rows, hidden]` of `x [rows, hidden]`.
pub(super) fn forward(level: Level, x: &[f32], affine: Affine<'_>, eps: f32) -> Vec<f32> {
    let task = ROWS_PER_TASK * affine.weight.len();
    let mut y = vec![0.0; x.len()];
    if task > 0 {
        y.par_chunks_mut(task)
            .zip(x.par_chunks(task))
            .for_each(|(y, x)| forward_rows(level, x, affine, eps, y));
    }
    y
}

/// Turns the gradient of `y`, in place, into the gradient of `x`, and returns those of `weight` and `bias`.
pub(super) fn backward(
    level: Level,
    x: &[f32],
    weight: &[f32],
    eps: f32,
    grad: &mut [f32],
) -> (Vec<f32>, Vec<f32>) {
    let hidden = weight.len();
    let task = ROWS_PER_TASK * hidden;
    if task == 0 {
        return (Vec::new(), Vec::new());
    }
    let mut partial = vec![0.0f32; x.len().div_ceil(task) * 2 * hidden];
    partial
        .par_chunks_mut(2 * hidden)
        .zip(grad.par_chunks_mut(task).zip(x.par_chunks(task)))
        .for_each(|(sums, (grad, x))| backward_rows(level, x, weight, eps, grad, sums));
    let mut total = vec![0.0f64; 2 * hidden];
    for sums in partial.chunks_exact(2 * hidden) {
        for (total, &term) in total.iter_mut().zip(sums) {
            *total += f64::from(term);
        }
    }
    let mut total: Vec<f32> = total.into_iter().map(|sum| sum as f32).collect();
    let bias_grad = total.split_off(hidden);
    (total, bias_grad)
}

dispatch!(forward_rows = forward_kernel(x: &[f32], affine: Affine<'_>, eps: f32, y: &mut [f32]));
dispatch!(backward_rows = backward_kernel(
    x: &[f32], weight: &[f32], eps: f32, grad: &mut [f32], sums: &mut [f32]
));

/// The mean, and 1 over the standard deviation.
#[inline(always)]
fn moments<L: Lanes>(x: &[f32], eps: f32) -> (f32, f32) {
    let n = x.len() as f32;
    let mean = accumulate(x.len(), |i, sum| sum + x[i]) / n;
    let variance = accumulate(x.len(), |i, sum| {
        let centred = x[i] - mean;
        L::mul_add(centred, centred, sum)
    }) / n;
    (mean, 1.0 / (variance + eps).sqrt())
}

#[inline(always)]
fn forward_kernel<L: Lanes>(x: &[f32], affine: Affine<'_>, eps: f32, y: &mut [f32]) {
    let hidden = affine.weight.len();
    for (x, y) in x.chunks_exact(hidden).zip(y.chunks_exact_mut(hidden)) {
        let (mean, scale) = moments::<L>(x, eps);
        for (((y, x), w), b) in y.iter_mut().zip(x).zip(affine.weight).zip(affine.bias) {
            *y = L::mul_add((x - mean) * scale, *w, *b);
        }
    }
}

#[inline(always)]
fn backward_kernel<L: Lanes>(x: &[f32], weight: &[f32], eps: f32, grad: &mut [f32], sums: &mut [f32]) {
    let hidden = weight.len();
    let (weight_sum, bias_sum) = sums.split_at_mut(hidden);
    for (x, grad) in x.chunks_exact(hidden).zip(grad.chunks_exact_mut(hidden)) {
        let (mean, scale) = moments::<L>(x, eps);
        let (along_one, along_z) = {
            let (x, grad) = (&x[..hidden], &grad[..hidden]);
            let plain = accumulate(hidden, |i, sum| L::mul_add(weight[i], grad[i], sum));
            let with_z =
                accumulate(hidden, |i, sum| L::mul_add(weight[i] * grad[i], (x[i] - mean) * scale, sum));
            (plain / hidden as f32, with_z / hidden as f32)
        };
        let parameters = weight.iter().zip(&mut *weight_sum).zip(&mut *bias_sum);
        for ((grad, x), ((w, weight_sum), bias_sum)) in grad.iter_mut().zip(x).zip(parameters) {
            let z = (x - mean) * scale;
            *weight_sum = L::mul_add(*grad, z, *weight_sum);
            *bias_sum += *grad;
            *grad = scale * (L::mul_add(*w, *grad, -along_one) - z * along_z);
        }
    }
}
