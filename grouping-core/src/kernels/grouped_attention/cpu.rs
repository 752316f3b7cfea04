//! Attention of one group at a time on f32: the queries of its heads stacked as rows, in blocks of a fixed size.
//!
//! A group of one batch entry is a task of its own, and every entry is summed by one task. Beside its result a task holds
//! the scores of one block, at most 2¹⁶ floats or 16 rows.

use std::cmp::Reverse;
use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::few_rows::{FEW, Few, mix, scores};
use super::heads::{Heads, Order};
use super::plan::{AttentionPlan, Rules};
use super::softmax::{Block, normalise_rows, softmax_weights};
use crate::simd::Level;

/// Scores that a task holds, unless 16 rows have more.
const SCORES: usize = 1 << 16;
/// Most rows of a block.
const MAX_ROWS: usize = 256;

/// `q`, `k` and `v`.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) q: Heads<'a>,
    pub(super) k: Heads<'a>,
    pub(super) v: Heads<'a>,
}

impl<'a> Inputs<'a> {
    pub(super) fn rules(&self, plan: &'a AttentionPlan, batch: usize, first_head: usize) -> Rules<'a> {
        let (n_heads, seq_q, seq_k) = (self.q.n_heads, self.q.n_tokens, self.k.n_tokens);
        Rules { plan, batch, first_head, n_heads, seq_q, seq_k }
    }

    /// Floats of one batch entry in the softmaxes' maxima and 1/Σ.
    pub(super) fn n_norms(&self) -> usize {
        2 * self.q.n_heads * self.q.n_tokens
    }
}

/// The output in the order of `q`, and for each batch entry, head and query the maximum and 1/Σ of its softmax.
pub(super) fn forward(level: Level, plan: &AttentionPlan, inputs: Inputs<'_>) -> (Vec<f32>, Vec<f32>, Order) {
    let (order, n_norms) = (inputs.q.order(), inputs.n_norms());
    let mut out = vec![0.0; inputs.q.n_batches * order.len()];
    let mut norms = vec![0.0; inputs.q.n_batches * n_norms];
    if inputs.q.is_empty() || inputs.k.is_empty() {
        return (out, norms, order);
    }
    let groups = plan.groups();
    // Each group a task, the largest first: what is left to the end is small.
    let mut by_size: Vec<usize> = (0..groups.len()).collect();
    by_size.sort_by_key(|&group| Reverse(groups[group].len()));
    out.par_chunks_mut(order.len()).zip(norms.par_chunks_mut(n_norms)).enumerate().for_each(
        |(batch, (out, norms))| {
            let done = |&group: &usize| {
                (group, forward_group(level, plan, inputs, batch, group, groups[group].clone()))
            };
            let parts: Vec<_> = by_size.par_iter().with_max_len(1).map(done).collect();
            for (group, (part, part_norms)) in parts {
                let heads = &groups[group];
                order.place(&part, heads.start, out);
                norms[2 * heads.start * inputs.q.n_tokens..][..part_norms.len()].copy_from_slice(&part_norms);
            }
        },
    );
    (out, norms, order)
}

/// Blocks of the rows `0..n_rows` against `n_keys` keys.
pub(super) fn blocks(n_rows: usize, n_keys: usize) -> impl Iterator<Item = Range<usize>> {
    let rows = (SCORES / n_keys.max(1)).clamp(FEW, MAX_ROWS);
    (0..n_rows).step_by(rows).map(move |first| first..(first + rows).min(n_rows))
}

/// A product `out [rows, columns]` of row-major `out`.
pub(super) fn product(out: &mut [f32], accum: Accum, a: MatRef<'_, f32>, b: MatRef<'_, f32>, scale: f32) {
    let out = MatMut::from_row_major_slice_mut(out, a.nrows(), b.ncols());
    matmul(out, accum, a, b, scale, Par::Seq);
}

/// The stacked output rows of one group, and their softmaxes' maxima and 1/Σ.
fn forward_group(
    level: Level,
    plan: &AttentionPlan,
    inputs: Inputs<'_>,
    batch: usize,
    group: usize,
    heads: Range<usize>,
) -> (Vec<f32>, Vec<f32>) {
    let (dim, seq_k) = (inputs.q.dim, inputs.k.n_tokens);
    let rules = inputs.rules(plan, batch, heads.start);
    let n_rows = heads.len() * inputs.q.n_tokens;
    let queries = inputs.q.stacked(batch, heads);
    let (keys, values) = (inputs.k.head(batch, group), inputs.v.head(batch, group));
    let mut out = vec![0.0; n_rows * dim];
    let mut norms = vec![0.0; 2 * n_rows];
    let mut buffer = Vec::new();
    for rows in blocks(n_rows, seq_k) {
        let n_keys = rules.n_keys(rows.clone());
        let block = Block { rules, first: rows.start, n_keys };
        let queries = &queries[rows.start * dim..rows.end * dim];
        let out = &mut out[rows.start * dim..rows.end * dim];
        let norms = &mut norms[2 * rows.start..2 * rows.end];
        buffer.resize(rows.len() * n_keys, 0.0);
        if n_rows <= FEW {
            let few = Few { scale: plan.scale, n_keys, dim };
            scores(level, few, queries, keys, &mut buffer);
            softmax_weights(level, &block, &mut buffer, norms);
            mix(level, few, &buffer, values, out);
        } else {
            let queries = MatRef::from_row_major_slice(queries, rows.len(), dim);
            product(&mut buffer, Accum::Replace, queries, keys.matrix(n_keys).transpose(), plan.scale);
            softmax_weights(level, &block, &mut buffer, norms);
            let weights = MatRef::from_row_major_slice(&buffer, rows.len(), n_keys);
            product(out, Accum::Replace, weights, values.matrix(n_keys), 1.0);
        }
        normalise_rows(level, norms, dim, out);
    }
    (out, norms)
}
