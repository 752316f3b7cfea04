//! One attention of a model, handed to whoever wants to see it or to do it otherwise.

use burn::tensor::{DType, Tensor, TensorData, activation};

use super::{AttentionOptions, Visibility, check, grouped_attention};
use crate::{Groups, Result};

/// The projected heads of one layer and how they are to be attended.
///
/// A hook `FnMut(AttentionCall) -> Result<Tensor<4>>` receives it in the place of the attention: it may look at the keys and run it
/// ([`run`](Self::run)), run it with other groups ([`run_with`](Self::run_with)), or change the output.
#[derive(Debug, Clone)]
pub struct AttentionCall<'a> {
    /// The number of the layer, from 0.
    pub layer_idx: usize,
    /// What the projections read: `[batch, seq, d_model]`.
    pub input: &'a Tensor<3>,
    /// `[batch, H, seq, head_dim]`, bias and norm included, before any scale.
    pub q: Tensor<4>,
    /// `[batch, G, seq, head_dim]`, bias and norm included.
    pub k: Tensor<4>,
    /// `[batch, G, seq, head_dim]`.
    pub v: Tensor<4>,
    /// The layer's own groups.
    pub groups: &'a Groups,
    /// The layer's own options.
    pub options: &'a AttentionOptions,
}

impl AttentionCall<'_> {
    /// The heads' outputs `[batch, H, seq, head_dim]`.
    ///
    /// # Errors
    /// As [`grouped_attention`].
    pub fn run(self) -> Result<Tensor<4>> {
        let groups = self.groups;
        self.run_with(groups)
    }

    /// As [`run`](Self::run), with other groups.
    ///
    /// # Errors
    /// As [`grouped_attention`].
    pub fn run_with(self, groups: &Groups) -> Result<Tensor<4>> {
        grouped_attention(self.q, self.k, self.v, groups, self.options)
    }

    /// The weights of each group of at least one head, `[batch, size, seq, seq]`, without dropout; their product with the group's
    /// value head gives the outputs of its heads. This is slower than [`run`](Self::run): it is for methods that change weights.
    ///
    /// # Errors
    /// As [`grouped_attention`].
    pub fn weights(&self, groups: &Groups) -> Result<Vec<(usize, Tensor<4>)>> {
        check(&self.q, &self.k, &self.v, groups, self.options)?;
        let ([batch, _, seq_q, head_dim], seq_k) = (self.q.dims(), self.k.dims()[2]);
        let scale = self.options.scale.unwrap_or_else(|| 1.0 / (head_dim as f64).sqrt());
        let hidden = self.hidden(seq_q, seq_k);
        let groups = groups.heads().enumerate().filter(|(_, heads)| !heads.is_empty());
        let weights = groups.map(|(group, heads)| {
            let of_heads = |x: Tensor<4>| {
                if x.dims()[1] == 1 { x } else { x.narrow(1, heads.start, heads.len()) }
            };
            let rows = [batch, 1, heads.len() * seq_q, head_dim];
            let queries = self.q.clone().narrow(1, heads.start, heads.len()).reshape(rows);
            let scores = queries.matmul(self.k.clone().narrow(1, group, 1).swap_dims(2, 3)).mul_scalar(scale);
            let scores = scores.reshape([batch, heads.len(), seq_q, seq_k]);
            let masks = self.options.mask.iter().chain(&hidden).cloned();
            let scores = masks.fold(scores, |scores, mask| scores + of_heads(mask));
            (group, activation::softmax(scores, 3))
        });
        Ok(weights.collect())
    }

    /// −∞ where a query sees no key.
    fn hidden(&self, seq_q: usize, seq_k: usize) -> Option<Tensor<4>> {
        let width = match self.options.visibility {
            Visibility::Causal => seq_k,
            Visibility::Window(width) => width,
            _ => return None,
        };
        let mut hidden = vec![f32::NEG_INFINITY; seq_q * seq_k];
        for (i, row) in hidden.chunks_exact_mut(seq_k).enumerate() {
            let end = seq_k - seq_q + i + 1;
            row[end.saturating_sub(width)..end].fill(0.0);
        }
        let device = self.q.device().without_autodiff();
        let hidden =
            Tensor::<4>::from_data(TensorData::new(hidden, [1, 1, seq_q, seq_k]), (&device, DType::F32));
        Some(hidden.cast(self.q.dtype()))
    }
}
