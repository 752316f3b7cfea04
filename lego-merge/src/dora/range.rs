//! The leading left singular subspace of a dense matrix by randomised subspace iteration (Halko, Martinsson, Tropp 2011, §4.5).
//!
//! `Y = X·Ω` for random `Ω [n, l]`, then in turn `Z = orth(Xᵀ·Y)`, `Y = orth(X·Z)`. With `l` somewhat above the wanted `k`, the
//! error of the `k`-th direction falls by `(σ_{l+1}/σ_k)²` an iteration. Products are `f64` sums of `f32` values.
//!
//! Cost: `2·I·m·n·l` products for `I` iterations; memory `(m + n)·l`. The result does not depend on the number of threads.

use grouping_core::matrix::Matrix;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Directions beyond those that are wanted.
const OVERSAMPLING: usize = 16;
const N_ITERATIONS: usize = 8;
/// Columns that one task sums.
const BLOCK: usize = 128;

/// Orthonormal columns `[m, l]`, `l ≥ min(k, m, n)`, whose span nearly holds the `k` leading left singular vectors of `x [m, n]`.
pub(super) fn leading_range(x: &Matrix, k: usize, seed: u64) -> Matrix {
    let (m, n) = (x.n_rows(), x.n_cols());
    let l = (k + OVERSAMPLING).min(m).min(n);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut z: Vec<f64> = (0..n * l).map(|_| rng.random_range(-1.0..1.0)).collect();
    let mut y = times(x, &z, l);
    orthonormalise(&mut y, l);
    for _ in 0..N_ITERATIONS {
        z = transposed_times(x, &y, l);
        orthonormalise(&mut z, l);
        y = times(x, &z, l);
        orthonormalise(&mut y, l);
    }
    Matrix::from_fn(m, l, |i, t| y[i * l + t] as f32)
}

/// `Qᵀ·X [l, n]` for `Q [m, l]`.
pub(super) fn coordinates(x: &Matrix, basis: &Matrix) -> Matrix {
    let l = basis.n_cols();
    let y: Vec<f64> = basis.values().iter().map(|&v| f64::from(v)).collect();
    let z = transposed_times(x, &y, l);
    Matrix::from_fn(l, x.n_cols(), |t, j| z[j * l + t] as f32)
}

/// `X·Z`, `[m, l]` for `Z [n, l]`.
fn times(x: &Matrix, z: &[f64], l: usize) -> Vec<f64> {
    let mut out = vec![0.0; x.n_rows() * l];
    out.par_chunks_mut(l).enumerate().for_each(|(i, sum)| {
        for (&value, row) in x.view().row(i).iter().zip(z.chunks_exact(l)) {
            let value = f64::from(value);
            sum.iter_mut().zip(row).for_each(|(s, v)| *s += value * v);
        }
    });
    out
}

/// `Xᵀ·Y`, `[n, l]` for `Y [m, l]`.
fn transposed_times(x: &Matrix, y: &[f64], l: usize) -> Vec<f64> {
    let mut out = vec![0.0; x.n_cols() * l];
    out.par_chunks_mut(BLOCK * l).enumerate().for_each(|(block, sums)| {
        let first = block * BLOCK;
        for (i, row) in y.chunks_exact(l).enumerate() {
            let values = &x.view().row(i)[first..];
            for (sum, &value) in sums.chunks_exact_mut(l).zip(values) {
                let value = f64::from(value);
                sum.iter_mut().zip(row).for_each(|(s, v)| *s += value * v);
            }
        }
    });
    out
}

/// Gram–Schmidt, twice, on the columns of a row-major `[_, l]`; a column that the others span becomes zero.
fn orthonormalise(y: &mut [f64], l: usize) {
    let n = y.len() / l;
    let mut columns: Vec<Vec<f64>> = (0..l).map(|t| (0..n).map(|i| y[i * l + t]).collect()).collect();
    let norm = |column: &[f64]| column.iter().map(|v| v * v).sum::<f64>().sqrt();
    for t in 0..l {
        let (done, rest) = columns.split_at_mut(t);
        let column = &mut rest[0];
        let before = norm(column);
        for _ in 0..2 {
            for other in done.iter() {
                let dot: f64 = column.iter().zip(other).map(|(c, o)| c * o).sum();
                column.iter_mut().zip(other).for_each(|(c, o)| *c -= dot * o);
            }
        }
        let after = norm(column);
        let scale = if after > 1e-12 * before && after > 0.0 { 1.0 / after } else { 0.0 };
        column.iter_mut().for_each(|v| *v *= scale);
    }
    for (t, column) in columns.iter().enumerate() {
        column.iter().enumerate().for_each(|(i, &v)| y[i * l + t] = v);
    }
}
