//! GELU on slices of f32 and its gradient.
//!
//! With φ the normal density and g the gradient of y: `∂x = g·(Φ(x) + x·φ(x))`.

use rayon::prelude::*;

use crate::simd::{Lanes, Level, dispatch, erf, exp};

/// Elements that one task works on.
const TASK: usize = 1 << 14;
/// `1 / √(2π)`.
const DENSITY_AT_ZERO: f32 = 0.398_942_3;

/// Turns `x`, in place, into `x·Φ(x)`.
pub(super) fn forward(level: Level, x: &mut [f32]) {
    x.par_chunks_mut(TASK).for_each(|x| forward_chunk(level, x));
}

/// `x·Φ(x)` of an `x` that is to stay.
pub(super) fn forward_copy(level: Level, x: &[f32]) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    y.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).for_each(|(y, x)| {
        y.copy_from_slice(x);
        forward_chunk(level, y);
    });
    y
}

/// Turns the gradient of `y`, in place, into the gradient of `x`.
pub(super) fn backward(level: Level, x: &[f32], grad: &mut [f32]) {
    grad.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).for_each(|(grad, x)| backward_chunk(level, x, grad));
}

dispatch!(forward_chunk = forward_kernel(x: &mut [f32]));
dispatch!(backward_chunk = backward_kernel(x: &[f32], grad: &mut [f32]));

/// `Φ(x)`.
#[inline(always)]
fn normal_cdf<L: Lanes>(x: f32) -> f32 {
    L::mul_add(erf::<L>(x * std::f32::consts::FRAC_1_SQRT_2), 0.5, 0.5)
}

#[inline(always)]
fn forward_kernel<L: Lanes>(x: &mut [f32]) {
    for x in x {
        *x *= normal_cdf::<L>(*x);
    }
}

#[inline(always)]
fn backward_kernel<L: Lanes>(x: &[f32], grad: &mut [f32]) {
    for (grad, &x) in grad.iter_mut().zip(x) {
        let density = DENSITY_AT_ZERO * exp::<L>(-0.5 * x * x);
        // The density's zero, not NaN, where x² overflows.
        let slope = if density > 0.0 { x * density } else { 0.0 };
        *grad *= normal_cdf::<L>(x) + slope;
    }
}
