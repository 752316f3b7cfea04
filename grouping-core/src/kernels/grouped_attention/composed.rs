//! Grouped attention from Burn's tensor operations.

use std::ops::Range;

use burn::tensor::{DType, Tensor, TensorData};

use super::plan::{Dropout, scale, visible};
use super::{AttentionOptions, Visibility};
use crate::Result;

/// [`grouped_attention()`](super::grouped_attention()) from Burn's tensor operations: any device, any float type.
///
/// # Errors
/// As [`grouped_attention()`](super::grouped_attention()).
pub fn composed(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    sizes: &[usize],
    options: &AttentionOptions,
) -> Result<Tensor<4>> {
    options.check([&q, &k, &v], sizes)?;
    Ok(attend(q, k, v, sizes, options))
}

/// [`composed`] of what is checked.
pub(super) fn attend(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    sizes: &[usize],
    options: &AttentionOptions,
) -> Tensor<4> {
    let [_, n_heads, seq_q, _] = q.dims();
    if seq_q == 0 || n_heads == 0 || k.dims()[2] == 0 {
        return q.mul_scalar(0.0);
    }
    let added = Added::new(&q, &k, options);
    if sizes.iter().all(|&size| size == sizes[0]) {
        return added.attend(q, k, v, 0..n_heads);
    }
    let parts = occupied(sizes).map(|(group, heads)| {
        let [k, v] = [&k, &v].map(|x| x.clone().narrow(1, group, 1));
        added.attend(q.clone().narrow(1, heads.start, heads.len()), k, v, heads)
    });
    Tensor::cat(parts.collect(), 1)
}

/// The weights of each group of at least one head, `[batch, size, seq_q, seq_k]`, without dropout; their product with the group's value head
/// is the output of its heads. Slower than [`grouped_attention()`](super::grouped_attention()): for methods that look at weights or change them.
///
/// # Errors
/// As [`grouped_attention()`](super::grouped_attention()).
pub fn weights(
    q: &Tensor<4>,
    k: &Tensor<4>,
    sizes: &[usize],
    options: &AttentionOptions,
) -> Result<Vec<(usize, Tensor<4>)>> {
    options.check([q, k, k], sizes)?;
    let added = Added::new(q, k, &options.clone().with_dropout(0.0, 0));
    let weights = occupied(sizes).map(|(group, heads)| {
        let q = q.clone().narrow(1, heads.start, heads.len());
        (group, added.weights(q, k.clone().narrow(1, group, 1), &heads))
    });
    Ok(weights.collect())
}

/// The groups of at least one query head, and their heads.
fn occupied(sizes: &[usize]) -> impl Iterator<Item = (usize, Range<usize>)> {
    let heads = sizes.iter().scan(0, |end, &size| {
        *end += size;
        Some(*end - size..*end)
    });
    heads.enumerate().filter(|(_, heads)| !heads.is_empty())
}

/// What is added to the scores and multiplied with the weights, for all heads.
struct Added {
    scale: f64,
    /// Each `[batch or 1, heads or 1, seq_q, seq_k]`.
    masks: Vec<Tensor<4>>,
    factors: Option<Tensor<4>>,
}

impl Added {
    fn new(q: &Tensor<4>, k: &Tensor<4>, options: &AttentionOptions) -> Self {
        let ([batch, n_heads, seq_q, head_dim], seq_k) = (q.dims(), k.dims()[2]);
        let (device, dtype) = (q.device().without_autodiff(), q.dtype());
        let tensor = |values: Vec<f32>, shape: [usize; 4]| {
            Tensor::<4>::from_data(TensorData::new(values, shape), (&device, DType::F32)).cast(dtype)
        };
        let mut masks: Vec<Tensor<4>> =
            options.mask.iter().map(|mask| mask.clone().detach().cast(dtype)).collect();
        if options.visibility != Visibility::All {
            let mut hidden = vec![f32::NEG_INFINITY; seq_q * seq_k];
            for (i, row) in hidden.chunks_exact_mut(seq_k).enumerate() {
                row[visible(options.visibility, i, seq_q, seq_k)].fill(0.0);
            }
            masks.push(tensor(hidden, [1, 1, seq_q, seq_k]));
        }
        let factors = Dropout::new(options).map(|dropout| {
            let mut factors = vec![0.0; batch * n_heads * seq_q * seq_k];
            for (row, factors) in factors.chunks_exact_mut(seq_k).enumerate() {
                dropout.factors(row, factors);
            }
            tensor(factors, [batch, n_heads, seq_q, seq_k])
        });
        Self { scale: scale(options, head_dim), masks, factors }
    }

    /// Weights of the query heads `heads`, which `q` holds, over as many equal groups as `k` has heads.
    fn weights(&self, q: Tensor<4>, k: Tensor<4>, heads: &Range<usize>) -> Tensor<4> {
        let [batch, n_heads, seq_q, head_dim] = q.dims();
        let [_, n_groups, seq_k, _] = k.dims();
        let rows = n_heads / n_groups * seq_q;
        let scores =
            q.reshape([batch, n_groups, rows, head_dim]).matmul(k.swap_dims(2, 3)).mul_scalar(self.scale);
        let scores = scores.reshape([batch, n_heads, seq_q, seq_k]);
        let of_heads = |x: &Tensor<4>| {
            if x.dims()[1] == 1 { x.clone() } else { x.clone().narrow(1, heads.start, n_heads) }
        };
        let scores = self.masks.iter().fold(scores, |scores, mask| scores + of_heads(mask));
        let weights = softmax(scores);
        match &self.factors {
            None => weights,
            Some(factors) => weights * of_heads(factors),
        }
    }

    /// Attention of the query heads `heads`, as [`Self::weights`].
    fn attend(&self, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, heads: Range<usize>) -> Tensor<4> {
        let [batch, n_heads, seq_q, head_dim] = q.dims();
        let [_, n_groups, seq_k, _] = k.dims();
        let weights = self.weights(q, k, &heads);
        let out = weights.reshape([batch, n_groups, n_heads / n_groups * seq_q, seq_k]).matmul(v);
        out.reshape([batch, n_heads, seq_q, head_dim])
    }
}

/// Softmax over the last axis, with zeros where all scores are −∞.
fn softmax(scores: Tensor<4>) -> Tensor<4> {
    let finfo = scores.dtype().finfo().expect("scores are floats");
    let top = scores.clone().detach().max_dim(3).clamp_min(finfo.min);
    let weights = (scores - top).exp();
    let sum = weights.clone().sum_dim(3).clamp_min(finfo.min_positive);
    weights / sum
}
