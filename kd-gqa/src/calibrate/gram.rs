//! What is kept of the activations of one kind (keys or values) of one layer: the inner products of all their columns.
//!
//! With `M_i [rows, head_dim]` the activations of head i, block (i, j) of the Gram matrix is `M_iᵀ·M_j`, from which follow norms, distances of heads under any
//! orthogonal map, and the maps themselves; the activations need not be held.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// `[M_0 … M_{n−1}]ᵀ·[M_0 … M_{n−1}]`.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadGram {
    n_heads: usize,
    head_dim: usize,
    n_rows: usize,
    /// `[n_heads · head_dim]²`.
    sums: Vec<f64>,
}

impl HeadGram {
    /// Of no rows yet.
    pub fn new(n_heads: usize, head_dim: usize) -> Self {
        let width = n_heads * head_dim;
        Self { n_heads, head_dim, n_rows: 0, sums: vec![0.0; width * width] }
    }

    /// The number of heads.
    pub fn n_heads(&self) -> usize {
        self.n_heads
    }

    /// The width of a head.
    pub fn head_dim(&self) -> usize {
        self.head_dim
    }

    /// Adds rows `[n, n_heads · head_dim]`, row-major: products in f32 of at most 256 rows, sums in f64.
    ///
    /// # Panics
    /// If these are no whole rows.
    pub fn add(&mut self, rows: &[f32]) {
        const ROWS: usize = 256;
        let width = self.n_heads * self.head_dim;
        assert_eq!(rows.len() % width, 0, "whole rows of {width} values");
        let mut part = vec![0f32; width * width];
        for rows in rows.chunks(ROWS * width) {
            let x = MatRef::from_row_major_slice(rows, rows.len() / width, width);
            let out = MatMut::from_row_major_slice_mut(&mut part, width, width);
            matmul(out, Accum::Replace, x.transpose(), x, 1.0, Par::Seq);
            self.sums.iter_mut().zip(&part).for_each(|(sum, &product)| *sum += f64::from(product));
            self.n_rows += x.nrows();
        }
    }

    /// `M_iᵀ·M_j [head_dim, head_dim]`, row-major.
    pub fn block(&self, i: usize, j: usize) -> Vec<f64> {
        let (hd, width) = (self.head_dim, self.n_heads * self.head_dim);
        (0..hd).flat_map(|a| &self.sums[(i * hd + a) * width + j * hd..][..hd]).copied().collect()
    }

    /// `‖M_i‖²`.
    pub fn energy(&self, i: usize) -> f64 {
        let (hd, width) = (self.head_dim, self.n_heads * self.head_dim);
        (i * hd..(i + 1) * hd).map(|at| self.sums[at * width + at]).sum()
    }

    /// The root mean square of head i's activations, 0 without rows.
    pub fn rms(&self, i: usize) -> f64 {
        (self.energy(i) / (self.n_rows * self.head_dim).max(1) as f64).sqrt()
    }
}
