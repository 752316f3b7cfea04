//! SwiGLU on slices of f32 and its gradient.
//!
//! With σ = 1 / (1 + e^{−gate}) and g the gradient of y:
//! `∂gate = g ∘ up ∘ σ(1 + gate(1 − σ))`, `∂up = g ∘ gate·σ`.

use rayon::prelude::*;

use crate::simd::{Lanes, Level, dispatch, sigmoid};

/// Elements that one task works on.
const TASK: usize = 1 << 14;

/// `silu(gate) ∘ up`.
pub(super) fn forward(level: Level, gate: &[f32], up: &[f32]) -> Vec<f32> {
    let mut y = vec![0.0; gate.len()];
    y.par_chunks_mut(TASK)
        .zip(gate.par_chunks(TASK).zip(up.par_chunks(TASK)))
        .for_each(|(y, (gate, up))| forward_chunk(level, gate, up, y));
    y
}

/// Turns the gradient of `y`, in place, into the gradient of `gate`, and returns the gradient of `up`.
pub(super) fn backward(level: Level, gate: &[f32], up: &[f32], grad: &mut [f32]) -> Vec<f32> {
    let mut up_grad = vec![0.0; up.len()];
    up_grad
        .par_chunks_mut(TASK)
        .zip(grad.par_chunks_mut(TASK))
        .zip(gate.par_chunks(TASK).zip(up.par_chunks(TASK)))
        .for_each(|((up_grad, grad), (gate, up))| backward_chunk(level, gate, up, grad, up_grad));
    up_grad
}

dispatch!(forward_chunk = forward_kernel(gate: &[f32], up: &[f32], y: &mut [f32]));
dispatch!(backward_chunk = backward_kernel(gate: &[f32], up: &[f32], grad: &mut [f32], up_grad: &mut [f32]));

#[inline(always)]
fn forward_kernel<L: Lanes>(gate: &[f32], up: &[f32], y: &mut [f32]) {
    for ((y, &gate), up) in y.iter_mut().zip(gate).zip(up) {
        *y = gate * sigmoid::<L>(gate) * up;
    }
}

#[inline(always)]
fn backward_kernel<L: Lanes>(gate: &[f32], up: &[f32], grad: &mut [f32], up_grad: &mut [f32]) {
    for (((up_grad, grad), &gate), up) in up_grad.iter_mut().zip(grad).zip(gate).zip(up) {
        let sigma = sigmoid::<L>(gate);
        let silu = gate * sigma;
        *up_grad = *grad * silu;
        *grad = *grad * up * L::mul_add(silu, 1.0 - sigma, sigma);
    }
}
