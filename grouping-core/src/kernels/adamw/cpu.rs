//! AdamW on slices of f32.
//!
//! Products and sums are rounded one by one, as in Burn's passes, and never fused.

use super::AdamWStep;
use crate::simd::{Lanes, Level, accumulate, dispatch};

dispatch!(
    /// Takes the step on all slices, which are of one length.
    step_all = step_kernel(param: &mut [f32], grad: &[f32], moments: [&mut [f32]; 2], step: AdamWStep)
);
dispatch!(square_norm_all = square_norm_kernel(x: &[f32]) -> f32);

/// Takes the step in place.
pub(super) fn step(level: Level, param: &mut [f32], grad: &[f32], moments: [&mut [f32]; 2], step: AdamWStep) {
    let lengths = [grad.len(), moments[0].len(), moments[1].len()];
    assert_eq!(lengths, [param.len(); 3], "adamw: gradient and moments must have the parameter's shape");
    step_all(level, param, grad, moments, step);
}

/// `Σ x²`.
pub(super) fn square_norm(level: Level, x: &[f32]) -> f32 {
    square_norm_all(level, x)
}

#[inline(always)]
fn step_kernel<L: Lanes>(
    param: &mut [f32],
    grad: &[f32],
    [moment_1, moment_2]: [&mut [f32]; 2],
    step: AdamWStep,
) {
    let AdamWStep { betas, corrections, epsilon, rate, keep, scale } = step;
    let fresh = betas.map(|beta| 1.0 - beta);
    for (((param, grad), moment_1), moment_2) in param.iter_mut().zip(grad).zip(moment_1).zip(moment_2) {
        let grad = grad * scale;
        *moment_1 = *moment_1 * betas[0] + grad * fresh[0];
        *moment_2 = *moment_2 * betas[1] + grad * grad * fresh[1];
        let delta = *moment_1 / corrections[0] / ((*moment_2 / corrections[1]).sqrt() + epsilon);
        *param = *param * keep - delta * rate;
    }
}

#[inline(always)]
fn square_norm_kernel<L: Lanes>(x: &[f32]) -> f32 {
    accumulate(x.len(), |i, sum| L::mul_add(x[i], x[i], sum))
}
