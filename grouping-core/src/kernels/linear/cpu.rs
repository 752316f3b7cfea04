//! Products of row-major f32 matrices for a linear layer and its gradients, by faer's kernels.
//!
//! With g the gradient of y: `∂x = g·Wᵀ`, `∂W = xᵀ·g`. Rows and columns of the result are cut into tasks of fixed size, and every
//! entry is summed by one task, so results are the same bytes for any number of threads.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Rows of a result that one task computes.
const ROWS_PER_TASK: usize = 256;
/// Columns of a result that one task computes, unless there are [`FEW_ROWS`] or fewer rows.
const COLUMNS_PER_TASK: usize = 192;
/// Rows up to which a product reads the weight once, in order, as it lies.
const FEW_ROWS: usize = 8;

/// `y = a·b`, or `y += a·b`, of at most [`ROWS_PER_TASK`] rows, the columns in tasks.
fn multiply(y: MatMut<'_, f32>, accum: Accum, a: MatRef<'_, f32>, b: MatRef<'_, f32>) {
    let n_tasks = y.ncols().div_ceil(COLUMNS_PER_TASK);
    if n_tasks <= 1 || y.nrows() <= FEW_ROWS {
        matmul(y, accum, a, b, 1.0, Par::Seq);
        return;
    }
    let first = n_tasks / 2 * COLUMNS_PER_TASK;
    let rest = y.ncols() - first;
    let (y_first, y_rest) = y.split_at_col_mut(first);
    let (b_first, b_rest) = (b.subcols(0, first), b.subcols(first, rest));
    rayon::join(|| multiply(y_first, accum, a, b_first), || multiply(y_rest, accum, a, b_rest));
}

/// `x [rows, in] · w [in, out]`.
pub(super) fn product(x: &[f32], w: &[f32], [d_in, d_out]: [usize; 2]) -> Vec<f32> {
    let rows = x.len() / d_in.max(1);
    let mut y = vec![0.0; rows * d_out];
    add_product(Accum::Replace, &mut y, x, w, [d_in, d_out]);
    y
}

/// `y += x [rows, in] · w [in, out]`.
pub(super) fn product_onto(y: &mut [f32], x: &[f32], w: &[f32], dims: [usize; 2]) {
    add_product(Accum::Add, y, x, w, dims);
}

/// `x [rows, in] · w [in, out] + bias [out]`.
pub(super) fn biased_product(x: &[f32], w: &[f32], bias: &[f32], [d_in, d_out]: [usize; 2]) -> Vec<f32> {
    let rows = x.len() / d_in.max(1);
    let mut y = Vec::with_capacity(rows * d_out);
    for _ in 0..rows {
        y.extend_from_slice(bias);
    }
    add_product(Accum::Add, &mut y, x, w, [d_in, d_out]);
    y
}

/// `y += x [rows, in] · w [in, out] + bias [out]`.
pub(super) fn biased_product_onto(y: &mut [f32], x: &[f32], w: &[f32], bias: &[f32], dims: [usize; 2]) {
    if !bias.is_empty() {
        for row in y.chunks_exact_mut(bias.len()) {
            for (y, b) in row.iter_mut().zip(bias) {
                *y += b;
            }
        }
    }
    add_product(Accum::Add, y, x, w, dims);
}

/// The sums of the columns of `grad [rows, out]`.
pub(super) fn column_sums(grad: &[f32], d_out: usize) -> Vec<f32> {
    let mut sums = vec![0.0; d_out];
    if d_out == 0 {
        return sums;
    }
    let mut total = vec![0.0f64; d_out];
    for rows in grad.chunks(ROWS_PER_TASK * d_out) {
        sums.fill(0.0);
        for row in rows.chunks_exact(d_out) {
            for (sum, g) in sums.iter_mut().zip(row) {
                *sum += g;
            }
        }
        for (total, &sum) in total.iter_mut().zip(&sums) {
            *total += f64::from(sum);
        }
    }
    total.into_iter().map(|sum| sum as f32).collect()
}

fn add_product(accum: Accum, y: &mut [f32], x: &[f32], w: &[f32], [d_in, d_out]: [usize; 2]) {
    if y.is_empty() || d_in == 0 {
        return;
    }
    let w = MatRef::from_row_major_slice(w, d_in, d_out);
    let x = x.par_chunks(ROWS_PER_TASK * d_in);
    y.par_chunks_mut(ROWS_PER_TASK * d_out).zip(x).for_each(|(y, x)| {
        let x = MatRef::from_row_major_slice(x, x.len() / d_in, d_in);
        let y = MatMut::from_row_major_slice_mut(y, x.nrows(), d_out);
        multiply(y, accum, x, w);
    });
}

/// `∂x [rows, in]` of `grad [rows, out]`.
pub(super) fn input_gradient(grad: &[f32], w: &[f32], [d_in, d_out]: [usize; 2]) -> Vec<f32> {
    let rows = grad.len() / d_out.max(1);
    let mut x_grad = vec![0.0; rows * d_in];
    if x_grad.is_empty() || d_out == 0 {
        return x_grad;
    }
    let w = MatRef::from_row_major_slice(w, d_in, d_out);
    let grad = grad.par_chunks(ROWS_PER_TASK * d_out);
    x_grad.par_chunks_mut(ROWS_PER_TASK * d_in).zip(grad).for_each(|(x_grad, grad)| {
        let grad = MatRef::from_row_major_slice(grad, grad.len() / d_out, d_out);
        let x_grad = MatMut::from_row_major_slice_mut(x_grad, grad.nrows(), d_in);
        multiply(x_grad, Accum::Replace, grad, w.transpose());
    });
    x_grad
}

/// `∂W [in, out]` of `x [rows, in]` and `grad [rows, out]`.
pub(super) fn weight_gradient(x: &[f32], grad: &[f32], [d_in, d_out]: [usize; 2]) -> Vec<f32> {
    let mut w_grad = vec![0.0; d_in * d_out];
    if x.is_empty() || grad.is_empty() {
        return w_grad;
    }
    let x = MatRef::from_row_major_slice(x, x.len() / d_in, d_in);
    let grad = MatRef::from_row_major_slice(grad, x.nrows(), d_out);
    w_grad.par_chunks_mut(ROWS_PER_TASK * d_out).enumerate().for_each(|(task, w_grad)| {
        let rows = w_grad.len() / d_out;
        let x = x.subcols(task * ROWS_PER_TASK, rows);
        let w_grad = MatMut::from_row_major_slice_mut(w_grad, rows, d_out);
        multiply(w_grad, Accum::Replace, x.transpose(), grad);
    });
    w_grad
}
