//! Grouped attention from Burn's tensor operations.

use std::ops::Range;

use burn::tensor::{DType, Tensor, TensorData};

use super::plan::{Dropout, scale, visible};
use super::{GroupedAttention, Visibility};

/// [`grouped_attention`](super::grouped_attention) from Burn's tensor operations: any device, any float type.
pub fn composed(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, config: &GroupedAttention) -> Tensor<4> {
    config.check(&q, &k, &v);
    let [_, n_heads, seq_q, _] = q.dims();
    if seq_q == 0 || n_heads == 0 || k.dims()[2] == 0 {
        return q.mul_scalar(0.0);
    }
    let added = Added::new(&q, &k, config);
    let first = config.sizes[0];
    if config.sizes.iter().all(|&size| size == first) {
        return added.attend(q, k, v, 0..n_heads);
    }
    let mut first = 0;
    let mut parts = Vec::new();
    for (group, &size) in config.sizes.iter().enumerate().filter(|(_, size)| **size > 0) {
        let [k, v] = [&k, &v].map(|x| x.clone().narrow(1, group, 1));
        parts.push(added.attend(q.clone().narrow(1, first, size), k, v, first..first + size));
        first += size;
    }
    Tensor::cat(parts, 1)
}

/// What is added to the scores and multiplied with the weights, for all heads.
struct Added {
    scale: f64,
    /// Each `[batch or 1, heads or 1, seq_q, seq_k]`.
    masks: Vec<Tensor<4>>,
    factors: Option<Tensor<4>>,
}

impl Added {
    fn new(q: &Tensor<4>, k: &Tensor<4>, config: &GroupedAttention) -> Self {
        let ([batch, n_heads, seq_q, head_dim], seq_k) = (q.dims(), k.dims()[2]);
        let (device, dtype) = (q.device().without_autodiff(), q.dtype());
        let tensor = |values: Vec<f32>, shape: [usize; 4]| {
            Tensor::<4>::from_data(TensorData::new(values, shape), (&device, DType::F32)).cast(dtype)
        };
        let mut masks: Vec<Tensor<4>> =
            config.mask.iter().map(|mask| mask.clone().detach().cast(dtype)).collect();
        if config.visibility != Visibility::All {
            let mut hidden = vec![f32::NEG_INFINITY; seq_q * seq_k];
            for (i, row) in hidden.chunks_exact_mut(seq_k).enumerate() {
                row[visible(config.visibility, i, seq_q, seq_k)].fill(0.0);
            }
            masks.push(tensor(hidden, [1, 1, seq_q, seq_k]));
        }
        let factors = Dropout::new(config).map(|dropout| {
            let mut factors = vec![0.0; batch * n_heads * seq_q * seq_k];
            for (row, factors) in factors.chunks_exact_mut(seq_k).enumerate() {
                dropout.factors(row, factors);
            }
            tensor(factors, [batch, n_heads, seq_q, seq_k])
        });
        Self { scale: scale(config, head_dim), masks, factors }
    }

    /// Attention of the query heads `heads`, which `q` holds, over as many equal groups as `k` has heads.
    fn attend(&self, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, heads: Range<usize>) -> Tensor<4> {
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
        let weights = match &self.factors {
            None => weights,
            Some(factors) => weights * of_heads(factors),
        };
        let out = weights.reshape([batch, n_groups, rows, seq_k]).matmul(v);
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
