//! Rotary causal attention on f32, a few sequences a task, and its gradient.
//!
//! For each head, in blocks of 64 queries: `S = Q·Kᵀ/√d` (Q and K turned), `P = softmax(S)` over visible keys, `O = P·V`.
//! Backward, with G the gradient of O: `∂V = Pᵀ·G`, `∂P = G·Vᵀ`, `∂S = P∘(∂P − rowsum(P∘∂P))`, `∂Q = ∂S·K/√d`,
//! `∂K = ∂Sᵀ·Q/√d`, both turned back. Each row's maximum and 1/Σ of its softmax are kept, P is computed again.
//!
//! Scratch is `O(64·seq + head_dim·seq)` floats a task. Keys past a block's last query are not visited.

use rayon::prelude::*;

use super::product::{Extent, Rows, RowsMut, Strided, product};
use super::rotary::Rotary;
use crate::kernels::buffer::ROWS_PER_TASK;
use crate::simd::{LANES, Lanes, Level, accumulate, dispatch, exp, max};

/// Queries whose scores are held at once.
const BLOCK: usize = 64;
/// Queries whose scores are computed together, up to the last one's keys.
const STRIP: usize = 4;

/// The extents of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) seq: usize,
    pub(super) n_heads: usize,
    pub(super) n_kv_heads: usize,
    pub(super) head_dim: usize,
}

impl Geometry {
    /// Floats of one token in `q`.
    fn width(&self) -> usize {
        self.n_heads * self.head_dim
    }

    /// Floats of one token in `k` and `v`.
    fn kv_width(&self) -> usize {
        self.n_kv_heads * self.head_dim
    }

    /// Heads that share one key head.
    fn group(&self) -> usize {
        self.n_heads / self.n_kv_heads
    }

    /// `seq` rounded up to whole vectors.
    fn padded(&self) -> usize {
        self.seq.next_multiple_of(LANES)
    }

    /// Floats of one sequence in [`Softmax`]'s pairs.
    fn norms(&self) -> usize {
        2 * self.n_heads * self.seq
    }

    fn sequences_per_task(&self) -> usize {
        (ROWS_PER_TASK / self.seq.max(1)).max(1)
    }

    fn scale(&self) -> f32 {
        (1.0 / (self.head_dim as f64).sqrt()) as f32
    }
}

/// `q`, `k` and `v` of whole sequences.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) q: &'a [f32],
    pub(super) k: &'a [f32],
    pub(super) v: &'a [f32],
}

impl<'a> Inputs<'a> {
    /// Sequences `first..first + n` (fewer at the end).
    fn sequences(self, geometry: &Geometry, first: usize, n: usize) -> Self {
        let part = |x: &'a [f32], width: usize| {
            let sequence = geometry.seq * width;
            &x[first * sequence..((first + n) * sequence).min(x.len())]
        };
        Self {
            q: part(self.q, geometry.width()),
            k: part(self.k, geometry.kv_width()),
            v: part(self.v, geometry.kv_width()),
        }
    }
}

/// The output, of the shape of `q`, and for each sequence, head and query the maximum and 1/Σ of its softmax.
pub(super) fn forward(
    level: Level,
    geometry: &Geometry,
    rotary: &Rotary,
    inputs: Inputs<'_>,
) -> (Vec<f32>, Vec<f32>) {
    let n_floats = inputs.q.len();
    if n_floats == 0 {
        return (Vec::new(), Vec::new());
    }
    let sequence = geometry.seq * geometry.width();
    let n = geometry.sequences_per_task();
    let mut out = vec![0.0; n_floats];
    let mut norms = vec![0.0; n_floats / sequence * geometry.norms()];
    out.par_chunks_mut(n * sequence).zip(norms.par_chunks_mut(n * geometry.norms())).enumerate().for_each(
        |(task, (out, norms))| {
            let inputs = inputs.sequences(geometry, task * n, n);
            forward_sequences(level, geometry, rotary, inputs, out, norms);
        },
    );
    (out, norms)
}

/// Turns the gradient of the output, in place, into that of `q`, and returns those of `k` and `v`.
pub(super) fn backward(
    level: Level,
    geometry: &Geometry,
    rotary: &Rotary,
    inputs: Inputs<'_>,
    norms: &[f32],
    grad: &mut [f32],
) -> (Vec<f32>, Vec<f32>) {
    if grad.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let n = geometry.sequences_per_task();
    let (sequence, kv_sequence) = (geometry.seq * geometry.width(), geometry.seq * geometry.kv_width());
    let mut k_grad = vec![0.0; inputs.k.len()];
    let mut v_grad = vec![0.0; inputs.v.len()];
    grad.par_chunks_mut(n * sequence)
        .zip(k_grad.par_chunks_mut(n * kv_sequence))
        .zip(v_grad.par_chunks_mut(n * kv_sequence))
        .zip(norms.par_chunks(n * geometry.norms()))
        .enumerate()
        .for_each(|(task, (((q, k), v), norms))| {
            let inputs = inputs.sequences(geometry, task * n, n);
            backward_sequences(level, geometry, rotary, inputs, norms, Gradients { q, k, v });
        });
    (k_grad, v_grad)
}

/// Gradients of whole sequences; `q` holds the output's at first.
struct Gradients<'a> {
    q: &'a mut [f32],
    k: &'a mut [f32],
    v: &'a mut [f32],
}

dispatch!(forward_sequences = forward_kernel(
    geometry: &Geometry, rotary: &Rotary, inputs: Inputs<'_>, out: &mut [f32], norms: &mut [f32]
));
dispatch!(backward_sequences = backward_kernel(
    geometry: &Geometry, rotary: &Rotary, inputs: Inputs<'_>, norms: &[f32], grads: Gradients<'_>
));

/// One key head: its keys, turned and scaled by 1/√d, as columns and as rows, and its values as columns.
struct KeyHead {
    keys: Vec<f32>,
    keys_t: Vec<f32>,
    values_t: Vec<f32>,
}

impl KeyHead {
    fn new(geometry: &Geometry) -> Self {
        let (rows, columns) = (geometry.seq * geometry.head_dim, geometry.head_dim * geometry.padded());
        Self { keys: vec![0.0; rows], keys_t: vec![0.0; columns], values_t: vec![0.0; columns] }
    }

    /// Turns the keys of key head `head` of one sequence `k [seq, kv_width]`.
    #[inline(always)]
    fn load_keys<L: Lanes>(&mut self, g: &Geometry, rotary: &Rotary, head: usize, k: &[f32]) {
        let rows = self.keys.chunks_exact_mut(g.head_dim);
        for (j, (row, token)) in rows.zip(k.chunks_exact(g.kv_width())).enumerate() {
            rotary.turn::<L>(j, g.scale(), &token[head * g.head_dim..], row);
        }
        transpose(g, &self.keys, g.head_dim, &mut self.keys_t);
    }

    #[inline(always)]
    fn load_values(&mut self, g: &Geometry, head: usize, v: &[f32]) {
        transpose(g, &v[head * g.head_dim..], g.kv_width(), &mut self.values_t);
    }
}

/// `out [head_dim, padded]` of `seq` rows of `head_dim` floats, `stride` apart.
#[inline(always)]
fn transpose(g: &Geometry, rows: &[f32], stride: usize, out: &mut [f32]) {
    let padded = g.padded();
    for (d, column) in out.chunks_exact_mut(padded).enumerate() {
        for (j, entry) in column[..g.seq].iter_mut().enumerate() {
            *entry = rows[j * stride + d];
        }
    }
}

/// Queries `first..end` of one head.
#[derive(Clone, Copy)]
struct Block {
    first: usize,
    end: usize,
}

impl Block {
    fn all(seq: usize) -> impl Iterator<Item = Self> {
        (0..seq).step_by(BLOCK).map(move |first| Self { first, end: (first + BLOCK).min(seq) })
    }

    fn len(self) -> usize {
        self.end - self.first
    }

    /// Runs of [`STRIP`] queries: the first and last row within the block, and the keys they may see in whole vectors.
    fn strips(self) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..self.len()).step_by(STRIP).map(move |row| {
            let end = (row + STRIP).min(self.len());
            (row, end, (self.first + end).next_multiple_of(LANES))
        })
    }
}

#[inline(always)]
fn turn_queries<L: Lanes>(g: &Geometry, rotary: &Rotary, block: Block, q: &[f32], queries: &mut [f32]) {
    for (r, row) in queries.chunks_exact_mut(g.head_dim).take(block.len()).enumerate() {
        let token = block.first + r;
        rotary.turn::<L>(token, 1.0, &q[token * g.width()..][..g.head_dim], row);
    }
}

#[inline(always)]
fn forward_kernel<L: Lanes>(
    g: &Geometry,
    rotary: &Rotary,
    inputs: Inputs<'_>,
    out: &mut [f32],
    norms: &mut [f32],
) {
    let (dim, padded) = (g.head_dim, g.padded());
    let (sequence, kv_sequence) = (g.seq * g.width(), g.seq * g.kv_width());
    let mut key_head = KeyHead::new(g);
    let block_rows = g.seq.min(BLOCK);
    let mut queries = vec![0.0; block_rows * dim];
    let mut scores = vec![0.0; block_rows * padded];
    let sequences = inputs
        .q
        .chunks_exact(sequence)
        .zip(inputs.k.chunks_exact(kv_sequence))
        .zip(inputs.v.chunks_exact(kv_sequence))
        .zip(out.chunks_exact_mut(sequence))
        .zip(norms.chunks_exact_mut(g.norms()));
    for ((((q, k), v), out), norms) in sequences {
        for (head, norms) in norms.chunks_exact_mut(2 * g.seq).enumerate() {
            let kv_head = head / g.group();
            if head % g.group() == 0 {
                key_head.load_keys::<L>(g, rotary, kv_head, k);
            }
            for block in Block::all(g.seq) {
                turn_queries::<L>(g, rotary, block, &q[head * dim..], &mut queries);
                for (row, end, n_keys) in block.strips() {
                    product::<L, false>(
                        Strided { values: &queries[row * dim..], row: dim, column: 1 },
                        Rows { values: &key_head.keys_t, stride: padded },
                        RowsMut { values: &mut scores[row * padded..], stride: padded },
                        Extent { rows: end - row, inner: dim, columns: n_keys },
                    );
                    for r in row..end {
                        let token = block.first + r;
                        let scores = &mut scores[r * padded..][..n_keys];
                        let norm = softmax::<L>(scores, token + 1);
                        norms[2 * token..][..2].copy_from_slice(&norm);
                    }
                    product::<L, false>(
                        Strided { values: &scores[row * padded..], row: padded, column: 1 },
                        Rows { values: &v[kv_head * dim..], stride: g.kv_width() },
                        RowsMut {
                            values: &mut out[(block.first + row) * g.width() + head * dim..],
                            stride: g.width(),
                        },
                        Extent { rows: end - row, inner: block.first + end, columns: dim },
                    );
                }
            }
        }
    }
}

/// Softmax over the first `visible` scores, in place, zero after them; returns their maximum and 1/Σ.
#[inline(always)]
fn softmax<L: Lanes>(scores: &mut [f32], visible: usize) -> [f32; 2] {
    scores[visible..].fill(f32::NEG_INFINITY);
    let top = max(scores);
    for score in scores.iter_mut() {
        *score = exp::<L>(*score - top);
    }
    let sum = {
        let scores = &*scores;
        accumulate(scores.len(), |i, sum| sum + scores[i])
    };
    let scale = sum.recip();
    for score in scores.iter_mut() {
        *score *= scale;
    }
    [top, scale]
}

#[inline(always)]
fn backward_kernel<L: Lanes>(
    g: &Geometry,
    rotary: &Rotary,
    inputs: Inputs<'_>,
    norms: &[f32],
    grads: Gradients<'_>,
) {
    let (sequence, kv_sequence) = (g.seq * g.width(), g.seq * g.kv_width());
    let mut scratch = Scratch::new(g);
    let sequences = inputs
        .q
        .chunks_exact(sequence)
        .zip(inputs.k.chunks_exact(kv_sequence))
        .zip(inputs.v.chunks_exact(kv_sequence))
        .zip(norms.chunks_exact(g.norms()))
        .zip(grads.q.chunks_exact_mut(sequence))
        .zip(grads.k.chunks_exact_mut(kv_sequence))
        .zip(grads.v.chunks_exact_mut(kv_sequence));
    for ((((((q, k), v), norms), q_grad), k_grad), v_grad) in sequences {
        for kv_head in 0..g.n_kv_heads {
            scratch.key_head.load_keys::<L>(g, rotary, kv_head, k);
            scratch.key_head.load_values(g, kv_head, v);
            scratch.k_grad.fill(0.0);
            scratch.v_grad.fill(0.0);
            for head in kv_head * g.group()..(kv_head + 1) * g.group() {
                let norms = &norms[2 * g.seq * head..][..2 * g.seq];
                let first = head * g.head_dim;
                for block in Block::all(g.seq) {
                    turn_queries::<L>(g, rotary, block, &q[first..], &mut scratch.queries);
                    scratch.block::<L>(g, block, norms, &q_grad[first..]);
                    for (r, row) in scratch.q_grad.chunks_exact(g.head_dim).enumerate() {
                        if r == block.len() {
                            break;
                        }
                        let token = block.first + r;
                        let out = &mut q_grad[token * g.width() + first..][..g.head_dim];
                        rotary.turn_back::<L>(token, 1.0, row, out);
                    }
                }
            }
            let first = kv_head * g.head_dim;
            for token in 0..g.seq {
                let (at, from) = (token * g.kv_width() + first, token * g.head_dim);
                let (k_row, v_row) = (&scratch.k_grad[from..], &scratch.v_grad[from..]);
                let k_out = &mut k_grad[at..][..g.head_dim];
                rotary.turn_back::<L>(token, g.scale(), k_row, k_out);
                v_grad[at..][..g.head_dim].copy_from_slice(&v_row[..g.head_dim]);
            }
        }
    }
}

/// What the backward pass of one head needs beside its inputs.
struct Scratch {
    key_head: KeyHead,
    queries: Vec<f32>,
    /// P, `[block, padded]`.
    weights: Vec<f32>,
    /// ∂P and then ∂S, `[block, padded]`.
    weight_grads: Vec<f32>,
    q_grad: Vec<f32>,
    k_grad: Vec<f32>,
    v_grad: Vec<f32>,
}

impl Scratch {
    fn new(g: &Geometry) -> Self {
        let block = g.seq.min(BLOCK);
        let zeros = |n: usize| vec![0.0; n];
        Self {
            key_head: KeyHead::new(g),
            queries: zeros(block * g.head_dim),
            weights: zeros(block * g.padded()),
            weight_grads: zeros(block * g.padded()),
            q_grad: zeros(block * g.head_dim),
            k_grad: zeros(g.seq * g.head_dim),
            v_grad: zeros(g.seq * g.head_dim),
        }
    }

    /// The block's ∂Q (not yet turned back), added to ∂K and ∂V; `grad` starts at the head's first column.
    #[inline(always)]
    fn block<L: Lanes>(&mut self, g: &Geometry, block: Block, norms: &[f32], grad: &[f32]) {
        let (dim, padded) = (g.head_dim, g.padded());
        let all_keys = block.end.next_multiple_of(LANES);
        for (row, end, n_keys) in block.strips() {
            let scores = Extent { rows: end - row, inner: dim, columns: n_keys };
            product::<L, false>(
                Strided { values: &self.queries[row * dim..], row: dim, column: 1 },
                Rows { values: &self.key_head.keys_t, stride: padded },
                RowsMut { values: &mut self.weights[row * padded..], stride: padded },
                scores,
            );
            product::<L, false>(
                Strided { values: &grad[(block.first + row) * g.width()..], row: g.width(), column: 1 },
                Rows { values: &self.key_head.values_t, stride: padded },
                RowsMut { values: &mut self.weight_grads[row * padded..], stride: padded },
                scores,
            );
            for r in row..end {
                let token = block.first + r;
                let weights = &mut self.weights[r * padded..][..all_keys];
                let grads = &mut self.weight_grads[r * padded..][..all_keys];
                weights[n_keys..].fill(0.0);
                grads[n_keys..].fill(0.0);
                let (weights, grads) = (&mut weights[..n_keys], &mut grads[..n_keys]);
                softmax_backward::<L>(weights, grads, token + 1, &norms[2 * token..]);
            }
            product::<L, false>(
                Strided { values: &self.weight_grads[row * padded..], row: padded, column: 1 },
                Rows { values: &self.key_head.keys, stride: dim },
                RowsMut { values: &mut self.q_grad[row * dim..], stride: dim },
                Extent { rows: end - row, inner: block.first + end, columns: dim },
            );
        }
        let onto_keys = Extent { rows: block.end, inner: block.len(), columns: dim };
        product::<L, true>(
            Strided { values: &self.weight_grads, row: 1, column: padded },
            Rows { values: &self.queries, stride: dim },
            RowsMut { values: &mut self.k_grad, stride: dim },
            onto_keys,
        );
        product::<L, true>(
            Strided { values: &self.weights, row: 1, column: padded },
            Rows { values: &grad[block.first * g.width()..], stride: g.width() },
            RowsMut { values: &mut self.v_grad, stride: dim },
            onto_keys,
        );
    }
}

/// Turns a row of S into P and of ∂P into ∂S; both are zero past the first `visible` keys.
#[inline(always)]
fn softmax_backward<L: Lanes>(weights: &mut [f32], grads: &mut [f32], visible: usize, norm: &[f32]) {
    let (top, scale) = (norm[0], norm[1]);
    weights[visible..].fill(f32::NEG_INFINITY);
    for weight in weights.iter_mut() {
        *weight = exp::<L>(*weight - top) * scale;
    }
    let (weights, grads) = (&*weights, &mut grads[..weights.len()]);
    let mean = {
        let grads = &*grads;
        accumulate(weights.len(), |i, sum| L::mul_add(weights[i], grads[i], sum))
    };
    for (grad, weight) in grads.iter_mut().zip(weights) {
        *grad = weight * (*grad - mean);
    }
}

#[cfg(test)]
mod tests {
    use super::super::RopeAttention;
    use super::{Geometry, Inputs, Level, backward, forward};

    #[test]
    fn every_level_gives_the_same_up_to_rounding() {
        let geometry = Geometry { seq: 70, n_heads: 4, n_kv_heads: 2, head_dim: 22 };
        let rotary = RopeAttention::new(4, 2, 22).rotary(70);
        let wave =
            |n: usize, step: f32| -> Vec<f32> { (0..n).map(|i| (i as f32 * step).sin() * 2.0).collect() };
        let (q, k, v) = (wave(70 * 88, 0.37), wave(70 * 44, 0.73), wave(70 * 44, 0.11));
        let inputs = Inputs { q: &q, k: &k, v: &v };
        let run = |level| {
            let (out, norms) = forward(level, &geometry, &rotary, inputs);
            let mut q_grad = wave(70 * 88, 0.59);
            let (k_grad, v_grad) = backward(level, &geometry, &rotary, inputs, &norms, &mut q_grad);
            [out, norms, q_grad, k_grad, v_grad]
        };
        let levels = Level::supported();
        let base = run(levels[0]);
        for &level in &levels[1..] {
            for (found, want) in run(level).iter().zip(&base) {
                let size = want.iter().fold(1.0f32, |size, w| size.max(w.abs()));
                for (i, (f, w)) in found.iter().zip(want).enumerate() {
                    assert!(
                        (f - w).abs() <= 1e-5 * size,
                        "entry {i}: {f} at {level:?}, {w} at {:?}",
                        levels[0]
                    );
                }
            }
        }
    }
}
