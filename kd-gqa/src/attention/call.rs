//! One attention of a model, handed to whoever wants to see it or to do it otherwise.

use burn::tensor::Tensor;
use grouping_core::kernels::grouped_attention;

use super::AttentionOptions;
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
    /// As [`grouped_attention()`].
    pub fn run(self) -> Result<Tensor<4>> {
        let groups = self.groups;
        self.run_with(groups)
    }

    /// As [`run`](Self::run), with other groups.
    ///
    /// # Errors
    /// As [`grouped_attention()`].
    pub fn run_with(self, groups: &Groups) -> Result<Tensor<4>> {
        Ok(grouped_attention(self.q, self.k, self.v, groups.sizes(), self.options)?)
    }

    /// The weights of each group of at least one head, `[batch, size, seq, seq]`, without dropout; their product with the group's
    /// value head gives the outputs of its heads. This is slower than [`run`](Self::run): it is for methods that change weights.
    ///
    /// # Errors
    /// As [`grouped_attention()`].
    pub fn weights(&self, groups: &Groups) -> Result<Vec<(usize, Tensor<4>)>> {
        Ok(grouped_attention::weights(&self.q, &self.k, groups.sizes(), self.options)?)
    }
}
