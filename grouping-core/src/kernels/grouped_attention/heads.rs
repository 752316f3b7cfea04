//! Heads where they lie: rows of one head in any layout whose last axis has no gaps, and results in the layout of an input.

use std::borrow::Cow;
use std::ops::Range;

use faer::MatRef;

use crate::kernels::buffer::{CpuTensor, contiguous, tensor};

/// `[batch, n_heads, n_tokens, dim]` in a buffer.
#[derive(Clone, Copy)]
pub(super) struct Heads<'a> {
    values: &'a [f32],
    strides: [usize; 3],
    pub(super) n_batches: usize,
    pub(super) n_heads: usize,
    pub(super) n_tokens: usize,
    pub(super) dim: usize,
}

/// The rows of one head.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
    pub(super) dim: usize,
}

/// `tensor` itself where [`Heads`] can read it, else a copy.
pub(super) fn readable(tensor: CpuTensor) -> CpuTensor {
    let strides = tensor.layout().strides();
    let is_readable = strides.last() == Some(&1) && strides.iter().all(|&stride| stride >= 0);
    if is_readable { tensor } else { contiguous(tensor) }
}

impl<'a> Heads<'a> {
    /// The heads of a tensor that [`readable`] returned.
    pub(super) fn of(tensor: &'a CpuTensor) -> Self {
        let layout = tensor.layout();
        let stride = |axis: usize| layout.strides()[axis].unsigned_abs();
        let shape = layout.shape();
        Self {
            values: &tensor.storage()[layout.start_offset()..],
            strides: [stride(0), stride(1), stride(2)],
            n_batches: shape[0],
            n_heads: shape[1],
            n_tokens: shape[2],
            dim: shape[3],
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        [self.n_batches, self.n_heads, self.n_tokens, self.dim].contains(&0)
    }

    pub(super) fn head(&self, batch: usize, head: usize) -> Rows<'a> {
        let start = batch * self.strides[0] + head * self.strides[1];
        Rows { values: &self.values[start..], stride: self.strides[2], dim: self.dim }
    }

    /// The rows of some heads below each other, without gaps; borrowed where they lie so.
    pub(super) fn stacked(&self, batch: usize, heads: Range<usize>) -> Cow<'a, [f32]> {
        if heads.is_empty() {
            return Cow::Borrowed(&[]);
        }
        let (head, rows) = (self.n_tokens * self.dim, heads.len() * self.n_tokens);
        let without_gaps = (self.strides[2] == self.dim || self.n_tokens == 1)
            && (self.strides[1] == head || heads.len() == 1);
        if without_gaps {
            return Cow::Borrowed(&self.head(batch, heads.start).values[..rows * self.dim]);
        }
        let mut stacked = Vec::with_capacity(rows * self.dim);
        for head in heads {
            let rows = self.head(batch, head);
            for token in 0..self.n_tokens {
                stacked.extend_from_slice(&rows.values[token * rows.stride..][..self.dim]);
            }
        }
        Cow::Owned(stacked)
    }

    /// The order in which a result of this shape is laid out.
    pub(super) fn order(&self) -> Order {
        let tokens_first = self.n_heads > 1 && self.strides[1] < self.strides[2];
        Order { tokens_first, n_heads: self.n_heads, n_tokens: self.n_tokens, dim: self.dim }
    }
}

impl<'a> Rows<'a> {
    /// The first `n` rows as a matrix.
    pub(super) fn matrix(&self, n: usize) -> MatRef<'a, f32> {
        MatRef::from_row_major_slice_with_stride(self.values, n, self.dim, self.stride)
    }
}

/// How a result of the shape `[batch, n_heads, n_tokens, dim]` is laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    /// `[batch, n_tokens, n_heads, dim]` in memory.
    tokens_first: bool,
    n_heads: usize,
    n_tokens: usize,
    dim: usize,
}

impl Order {
    /// Floats of one batch entry.
    pub(super) fn len(&self) -> usize {
        self.n_heads * self.n_tokens * self.dim
    }

    /// Writes the stacked rows of some heads into one batch entry.
    pub(super) fn place(&self, rows: &[f32], first_head: usize, out: &mut [f32]) {
        let head = self.n_tokens * self.dim;
        if !self.tokens_first {
            out[first_head * head..][..rows.len()].copy_from_slice(rows);
            return;
        }
        for (head, rows) in (first_head..).zip(rows.chunks_exact(head)) {
            for (token, row) in rows.chunks_exact(self.dim).enumerate() {
                out[(token * self.n_heads + head) * self.dim..][..self.dim].copy_from_slice(row);
            }
        }
    }

    /// The tensor `[batch, n_heads, n_tokens, dim]` over values in this order, without a copy.
    pub(super) fn tensor(&self, values: Vec<f32>, n_batches: usize) -> CpuTensor {
        if self.tokens_first {
            tensor(values, [n_batches, self.n_tokens, self.n_heads, self.dim]).transpose(1, 2)
        } else {
            tensor(values, [n_batches, self.n_heads, self.n_tokens, self.dim])
        }
    }
}
