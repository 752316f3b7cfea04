//! Grouped attention as a fused operation, and its gradient, one group at a time, on f32.
//!
//! With G the gradient of the stacked output O = P·V, and P computed again from each row's maximum and 1/Σ:
//! `∂V = Pᵀ·G`, `∂P = G·Vᵀ`, `∂S = P∘(∂P − rowsum(P∘∂P))`, `∂Q = scale·∂S·K`, `∂K = scale·∂Sᵀ·Q`. Under dropout with factors M:
//! `∂V = (P∘M)ᵀ·G` and ∂P∘M in the place of ∂P.

use std::ops::Range;

use faer::{Accum, MatRef};
use rayon::prelude::*;

use super::cpu::{self, Inputs, blocks, product};
use super::heads::{Heads, readable};
use super::plan::AttentionPlan;
use super::softmax::{Block, softmax_gradients};
use crate::kernels::FusedOp;
use crate::kernels::buffer::CpuTensor;
use crate::simd::Level;

impl FusedOp<3> for AttentionPlan {
    /// `q`, `k` and `v`, and what the backward pass needs of each softmax.
    type Saved = ([CpuTensor; 3], Vec<f32>);

    fn forward(&self, qkv: [CpuTensor; 3]) -> (CpuTensor, Self::Saved) {
        let qkv = qkv.map(readable);
        let inputs = inputs(&qkv);
        let (out, norms, order) = cpu::forward(Level::detect(), self, inputs);
        (order.tensor(out, inputs.q.n_batches), (qkv, norms))
    }

    fn backward(&self, (qkv, norms): Self::Saved, grad: CpuTensor, _: [bool; 3]) -> [Option<CpuTensor>; 3] {
        let grad = readable(grad);
        gradients(Level::detect(), self, inputs(&qkv), &norms, Heads::of(&grad)).map(Some)
    }
}

fn inputs([q, k, v]: &[CpuTensor; 3]) -> Inputs<'_> {
    Inputs { q: Heads::of(q), k: Heads::of(k), v: Heads::of(v) }
}

/// The gradients of `q`, `k` and `v`, each in the order of its tensor.
fn gradients(
    level: Level,
    plan: &AttentionPlan,
    inputs: Inputs<'_>,
    norms: &[f32],
    grad: Heads<'_>,
) -> [CpuTensor; 3] {
    let orders = [inputs.q, inputs.k, inputs.v].map(|heads| heads.order());
    let n_batches = inputs.q.n_batches;
    let [mut q_grad, mut k_grad, mut v_grad] = orders.map(|order| vec![0.0; n_batches * order.len()]);
    let groups = plan.groups();
    if !inputs.q.is_empty() && !inputs.k.is_empty() {
        let [q_order, k_order, v_order] = orders;
        q_grad
            .par_chunks_mut(q_order.len())
            .zip(k_grad.par_chunks_mut(k_order.len()))
            .zip(v_grad.par_chunks_mut(v_order.len()))
            .zip(norms.par_chunks(inputs.n_norms()))
            .enumerate()
            .for_each(|(batch, (((q_grad, k_grad), v_grad), norms))| {
                let parts: Vec<_> = (groups.par_iter().enumerate())
                    .map(|(group, heads)| {
                        let rows = 2 * inputs.q.n_tokens;
                        let norms = &norms[heads.start * rows..heads.end * rows];
                        backward_group(level, plan, inputs, norms, grad, (batch, group, heads.clone()))
                    })
                    .collect();
                for (group, (heads, [q, k, v])) in groups.iter().zip(parts).enumerate() {
                    q_order.place(&q, heads.start, q_grad);
                    k_order.place(&k, group, k_grad);
                    v_order.place(&v, group, v_grad);
                }
            });
    }
    let [q_order, k_order, v_order] = orders;
    [(q_grad, q_order), (k_grad, k_order), (v_grad, v_order)]
        .map(|(grad, order)| order.tensor(grad, n_batches))
}

/// The gradients of the stacked queries, the keys and the values of one group of one batch entry.
fn backward_group(
    level: Level,
    plan: &AttentionPlan,
    inputs: Inputs<'_>,
    norms: &[f32],
    grad: Heads<'_>,
    (batch, group, heads): (usize, usize, Range<usize>),
) -> [Vec<f32>; 3] {
    let (dim, seq_k) = (inputs.q.dim, inputs.k.n_tokens);
    let rules = inputs.rules(plan, batch, heads.start);
    let n_rows = heads.len() * inputs.q.n_tokens;
    let (queries, grad) = (inputs.q.stacked(batch, heads.clone()), grad.stacked(batch, heads));
    let (keys, values) = (inputs.k.head(batch, group), inputs.v.head(batch, group));
    let mut q_grad = vec![0.0; n_rows * dim];
    let mut k_grad = vec![0.0; seq_k * dim];
    let mut v_grad = vec![0.0; seq_k * dim];
    let (mut scores, mut score_grads) = (Vec::new(), Vec::new());
    for rows in blocks(n_rows, seq_k) {
        let n_keys = rules.n_keys(rows.clone());
        let part = rows.start * dim..rows.end * dim;
        let [queries, grad] =
            [&queries, &grad].map(|x| MatRef::from_row_major_slice(&x[part.clone()], rows.len(), dim));
        let (keys, values) = (keys.matrix(n_keys), values.matrix(n_keys));
        for buffer in [&mut scores, &mut score_grads] {
            buffer.resize(rows.len() * n_keys, 0.0);
        }
        product(&mut scores, Accum::Replace, queries, keys.transpose(), plan.scale);
        product(&mut score_grads, Accum::Replace, grad, values.transpose(), 1.0);
        let block = Block { rules, first: rows.start, n_keys };
        let norms = &norms[2 * rows.start..2 * rows.end];
        softmax_gradients(level, &block, norms, &mut scores, &mut score_grads);
        let [weights, score_grads] =
            [&scores, &score_grads].map(|x| MatRef::from_row_major_slice(x, rows.len(), n_keys));
        product(&mut q_grad[part], Accum::Replace, score_grads, keys, plan.scale);
        product(&mut k_grad[..n_keys * dim], Accum::Add, score_grads.transpose(), queries, plan.scale);
        product(&mut v_grad[..n_keys * dim], Accum::Add, weights.transpose(), grad, 1.0);
    }
    [q_grad, k_grad, v_grad]
}
