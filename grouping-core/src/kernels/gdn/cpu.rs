//! Divisive normalisation on slices of f32 and its gradient.
//!
//! The forward pass takes some points at a time through all of it: squares, sums in register tiles, root and product.
//!
//! With g the gradient of y, `d_i = ∂L/∂n_i = −½·g_i·x_i·n_i^(−3/2)`, in the inverse form `½·g_i·x_i·n_i^(−1/2)`:
//! `∂x_j = g_j·n_j^(∓1/2) + 2·x_j·Σ_i γ_ij·d_i`, `∂β = Σ d`, `∂γ_ij = Σ d_i·x_j²`.

use rayon::prelude::*;

use crate::kernels::conv::{
    Geometry, Rectifier, Terms, TileSize, Weights, accumulate, channel_sums, forward as convolution,
    weight_gradient,
};
use crate::simd::{Lanes, Level, dispatch};

/// Points that one task works on.
const TASK: usize = 768;

/// Batch, channels, and points of a channel.
pub(super) type Shape = [usize; 3];

/// The parameters and which of the two forms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm<'a> {
    pub(super) beta: &'a [f32],
    pub(super) gamma: &'a [f32],
    pub(super) inverse: bool,
}

/// Normalises `y` in place, or, where there is an `x`, writes that normalised.
pub(super) fn forward(
    level: Level,
    [batch, channels, plane]: Shape,
    x: Option<&[f32]>,
    norm: Norm<'_>,
    y: &mut [f32],
) {
    if y.is_empty() {
        return;
    }
    let size = TileSize::of(level, channels);
    let point = Geometry::ordinary([1, channels, 1, 1], [channels, channels, 1, 1], 1, 0);
    let gamma = Weights::pack(&point, norm.gamma, channels, size.channels);
    let n_tasks = plane.div_ceil(TASK);
    let mut tasks: Vec<Vec<&mut [f32]>> = Vec::new();
    tasks.resize_with(batch * n_tasks, || Vec::with_capacity(channels));
    for (i, plane) in y.chunks_exact_mut(plane).enumerate() {
        for (task, points) in plane.chunks_mut(TASK).enumerate() {
            tasks[i / channels * n_tasks + task].push(points);
        }
    }
    let width = size.lanes * size.vectors;
    let buffers = || (vec![0.0; channels * width], vec![0.0; size.channels * width]);
    tasks.into_par_iter().enumerate().for_each_init(buffers, |(squares, sums), (task, mut rows)| {
        if let Some(x) = x {
            let first = task / n_tasks * channels * plane + task % n_tasks * TASK;
            for (row, x) in rows.iter_mut().zip(x[first..].chunks(plane)) {
                row.copy_from_slice(&x[..row.len()]);
            }
        }
        let n_points = rows[0].len();
        for first in (0..n_points).step_by(width) {
            let points = first..n_points.min(first + width);
            for (row, squares) in rows.iter().zip(squares.chunks_exact_mut(width)) {
                square(level, &row[points.clone()], squares);
            }
            let starts: [usize; TileSize::MAX_VECTORS] = std::array::from_fn(|i| i * size.lanes);
            let starts = &starts[..points.len().div_ceil(size.lanes)];
            for (i, rows) in rows.chunks_mut(size.channels).enumerate() {
                let channel = i * size.channels;
                let terms = Terms {
                    weights: gamma.of(&(0..channels), 0, 1, channel),
                    input: squares,
                    taps: &[0],
                    channel_stride: width,
                    n_channels: channels,
                };
                let beta = Some(&norm.beta[channel..]);
                accumulate(level, terms, starts, rows.len(), beta, sums);
                for (row, norms) in rows.iter_mut().zip(sums.chunks_exact(starts.len() * size.lanes)) {
                    normalise(level, norms, norm.inverse, &mut row[points.clone()]);
                }
            }
        }
    });
}

/// The gradients of x, β and γ.
pub(super) fn backward(
    level: Level,
    [batch, channels, plane]: Shape,
    x: &[f32],
    norm: Norm<'_>,
    grad: &[f32],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (shape, matrix) = ([batch, channels, 1, plane], [channels, channels, 1, 1]);
    let ordinary = Geometry::ordinary(shape, matrix, 1, 0);
    let transposed = Geometry::transposed(shape, matrix, 1, 0, [1, plane]);
    let squares: Vec<f32> = x.iter().map(|x| x * x).collect();
    let mut x_grad = convolution(level, &ordinary, &squares, norm.gamma, norm.beta, Rectifier::None);
    let mut norms_grad = vec![0.0; x.len()];
    let tasks = x_grad.par_chunks_mut(TASK).zip(norms_grad.par_chunks_mut(TASK));
    tasks.zip(x.par_chunks(TASK)).zip(grad.par_chunks(TASK)).for_each(|(((norms, norms_grad), x), grad)| {
        scale(level, norms, norms_grad, x, grad, norm.inverse);
    });
    let zeros = vec![0.0; channels];
    let through_norms = convolution(level, &transposed, &norms_grad, norm.gamma, &zeros, Rectifier::None);
    let tasks = x_grad.par_chunks_mut(TASK).zip(through_norms.par_chunks(TASK)).zip(x.par_chunks(TASK));
    tasks.for_each(|((x_grad, through_norms), x)| add(level, x_grad, through_norms, x));
    let gamma_grad = weight_gradient(level, &ordinary, &squares, &norms_grad);
    (x_grad, channel_sums(&norms_grad, channels, plane), gamma_grad)
}

dispatch!(square = square_kernel(x: &[f32], squares: &mut [f32]));
dispatch!(normalise = normalise_kernel(norms: &[f32], inverse: bool, x: &mut [f32]));
dispatch!(
    /// Turns `norms` into the factors of the gradient of `y`, times that, and gives the gradient of `norms`.
    scale = scale_kernel(norms: &mut [f32], norms_grad: &mut [f32], x: &[f32], grad: &[f32], inverse: bool)
);
dispatch!(add = add_kernel(x_grad: &mut [f32], through_norms: &[f32], x: &[f32]));

#[inline(always)]
fn square_kernel<L: Lanes>(x: &[f32], squares: &mut [f32]) {
    let (squares, rest) = squares.split_at_mut(x.len());
    squares.iter_mut().zip(x).for_each(|(square, x)| *square = x * x);
    rest.fill(0.0);
}

#[inline(always)]
fn normalise_kernel<L: Lanes>(norms: &[f32], inverse: bool, x: &mut [f32]) {
    if inverse {
        x.iter_mut().zip(norms).for_each(|(x, norm)| *x *= norm.sqrt());
    } else {
        x.iter_mut().zip(norms).for_each(|(x, norm)| *x /= norm.sqrt());
    }
}

#[inline(always)]
fn scale_kernel<L: Lanes>(norms: &mut [f32], norms_grad: &mut [f32], x: &[f32], grad: &[f32], inverse: bool) {
    let entries = norms.iter_mut().zip(norms_grad).zip(x).zip(grad);
    if inverse {
        entries.for_each(|(((norm, norm_grad), x), grad)| {
            let root = norm.sqrt();
            *norm_grad = 0.5 * grad * x / root;
            *norm = grad * root;
        });
    } else {
        entries.for_each(|(((norm, norm_grad), x), grad)| {
            let scaled = grad / norm.sqrt();
            *norm_grad = -0.5 * scaled * x / *norm;
            *norm = scaled;
        });
    }
}

#[inline(always)]
fn add_kernel<L: Lanes>(x_grad: &mut [f32], through_norms: &[f32], x: &[f32]) {
    for ((x_grad, through_norms), x) in x_grad.iter_mut().zip(through_norms).zip(x) {
        *x_grad = L::mul_add(2.0 * through_norms, *x, *x_grad);
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, Norm, forward};
    use crate::simd::Isa;

    #[test]
    fn every_level_gives_the_same_up_to_rounding_and_the_same_bytes_with_fused_arithmetic() {
        let wave = |n: usize, step: f32| -> Vec<f32> { (0..n).map(|i| (i as f32 * step).sin()).collect() };
        for [batch, channels, plane] in [[1, 1, 1], [2, 13, 100], [1, 40, 1000]] {
            let x = wave(batch * channels * plane, 0.37);
            let (beta, gamma) = (vec![0.5; channels], wave(channels * channels, 0.71));
            let gamma: Vec<f32> = gamma.iter().map(|gamma| gamma.abs()).collect();
            let all: Vec<_> = Level::supported()
                .into_iter()
                .map(|level| {
                    let mut y = vec![0.0; x.len()];
                    let norm = Norm { beta: &beta, gamma: &gamma, inverse: false };
                    forward(level, [batch, channels, plane], Some(&x), norm, &mut y);
                    let mut in_place = x.clone();
                    forward(level, [batch, channels, plane], None, norm, &mut in_place);
                    assert_eq!(y, in_place, "in place, {level:?}");
                    (level, y)
                })
                .collect();
            let (fused, separate): (Vec<_>, Vec<_>) =
                all.iter().partition(|(level, _)| level.isa() != Isa::Baseline);
            for (level, found) in &fused {
                assert!(*found == fused[0].1, "{level:?} and {:?} differ", fused[0].0);
                for (found, want) in found.iter().zip(&separate[0].1) {
                    assert!((found - want).abs() <= 1e-6, "{found} at {level:?}, {want} at the baseline");
                }
            }
        }
    }
}
