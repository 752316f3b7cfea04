//! The gradients of a convolution's weight and bias, on plain slices of f32.
//!
//! `∂w[o, c, ky, kx] = Σ_{batch, i, j} g[o, i, j] · x[c, s·i + ky − p, s·j + kx − p]`: a product of matrices, the gradient's
//! `[c_out, points]` and `[points, taps]` copied from the input for some rows at a time. A task has some input channels and goes through
//! the rows in order, so results are the same bytes for any number of threads.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::geometry::Geometry;
use super::pack::{Strip, Window};
use crate::simd::Level;

/// Taps times input channels of a task.
const TERMS: usize = 128;
/// Points of a product, about.
const POINTS: usize = 1024;

/// `∂w [c_out, c_in, kh, kw]` of an ordinary convolution, from `x [batch, c_in, h, w]` and `grad [batch, c_out, h', w']`.
pub(in crate::kernels) fn weight_gradient(
    level: Level,
    geometry: &Geometry,
    x: &[f32],
    grad: &[f32],
) -> Vec<f32> {
    let &Geometry { batch, c_in, c_out, output: [height, width], .. } = geometry;
    let taps = &geometry.phases[0];
    let n_terms = c_in * taps.len();
    if batch == 0 || n_terms == 0 || c_out == 0 {
        return vec![0.0; n_terms * c_out];
    }
    let n_rows = (POINTS / width).clamp(1, height);
    let n_channels = (TERMS / taps.len()).clamp(1, c_in);
    let (image, plane) = (x.len() / batch, height * width);
    // [c_in, taps, c_out]
    let mut transposed = vec![0.0; n_terms * c_out];
    let tasks = transposed.par_chunks_mut(n_channels * taps.len() * c_out).enumerate();
    tasks.for_each_init(<(Strip, Vec<f32>)>::default, |(strip, columns), (task, sums)| {
        let channels = task * n_channels..c_in.min((task + 1) * n_channels);
        strip.reshape(geometry, n_rows, width, 1);
        for (x, grad) in x.chunks_exact(image).zip(grad.chunks_exact(c_out * plane)) {
            for row in (0..height).step_by(n_rows) {
                let rows = n_rows.min(height - row);
                strip.fill(
                    level,
                    geometry,
                    x,
                    channels.clone(),
                    Window { row, rows, column: 0, columns: width },
                );
                columns.clear();
                for channel in 0..channels.len() {
                    for tap in taps {
                        let first = channel * strip.channel_stride() + strip.tap(tap.at);
                        for row in 0..rows {
                            columns
                                .extend_from_slice(&strip.values()[first + strip.start(row, 0)..][..width]);
                        }
                    }
                }
                let points = rows * width;
                let columns = MatRef::from_row_major_slice(columns, channels.len() * taps.len(), points);
                let first = row * width;
                let grad = MatRef::from_row_major_slice_with_stride(&grad[first..], c_out, points, plane);
                let sums = MatMut::from_row_major_slice_mut(sums, columns.nrows(), c_out);
                matmul(sums, Accum::Add, columns, grad.transpose(), 1.0, Par::Seq);
            }
        }
    });
    let mut gradient = vec![0.0; transposed.len()];
    for (o, gradient) in gradient.chunks_exact_mut(n_terms).enumerate() {
        let sums = transposed.chunks_exact(c_out);
        gradient.iter_mut().zip(sums).for_each(|(gradient, sums)| *gradient = sums[o]);
    }
    gradient
}

/// The sums of each channel of `grad [batch, channels, plane]`, in f64 over sums of 64 rows of 16.
pub(in crate::kernels) fn channel_sums(grad: &[f32], channels: usize, plane: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; channels];
    if plane == 0 || channels == 0 {
        return vec![0.0; channels];
    }
    for image in grad.chunks_exact(channels * plane) {
        let of_channels = image.par_chunks_exact(plane).map(|values| {
            let chunks = values.chunks(1024);
            chunks
                .map(|values| f64::from(crate::simd::accumulate(values.len(), |i, sum| sum + values[i])))
                .sum::<f64>()
        });
        let of_image: Vec<f64> = of_channels.collect();
        sums.iter_mut().zip(of_image).for_each(|(sum, of_image)| *sum += of_image);
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}
