//! The shape of a checkpoint's model.

use super::{Biases, Body, ModelShape};
use crate::checkpoint::Checkpoint;
use crate::{Error, Groups, Result};

impl ModelShape {
    /// The shape of a checkpoint's model, from its tensors.
    ///
    /// # Errors
    /// [`Error::FileField`](grouping_core::Error::FileField) for a checkpoint without a feed-forward part or embedding under the names of its dialect, and what
    /// [`Checkpoint::vit`] refuses.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        if checkpoint.dialect().is_vit() { vit(checkpoint) } else { decoder(checkpoint) }
    }
}

fn vit(checkpoint: &Checkpoint) -> Result<ModelShape> {
    let tensors = checkpoint.vit()?;
    let shape = tensors.shape();
    let (n_prefix_tokens, has_bias) = (usize::from(shape.class_token), checkpoint.has_attention_biases());
    Ok(ModelShape {
        body: Body::Vit {
            n_patches: shape.n_positions - n_prefix_tokens,
            patch_values: shape.n_channels * shape.patch_size.iter().product::<usize>(),
            n_prefix_tokens,
            n_classes: shape.n_classes.unwrap_or(0),
        },
        hidden: checkpoint.hidden_size(),
        n_heads: checkpoint.n_heads(),
        n_kv_heads: n_kv_heads(checkpoint.groups()),
        head_dim: checkpoint.head_dim(),
        feed_forward: shape.mlp_size,
        gated: false,
        biases: Biases { qkv: has_bias, output: has_bias, feed_forward: true },
        norm_parameters: 2,
        n_head_norms: n_head_norms(checkpoint),
        final_norm: shape.final_norm,
    })
}

fn decoder(checkpoint: &Checkpoint) -> Result<ModelShape> {
    let shape = |neutral: &str| checkpoint.tensors().shape(&checkpoint.stored_name(neutral)?);
    let rows = |neutral: &str| {
        shape(neutral).and_then(|shape| shape.first().copied()).ok_or_else(|| {
            let name = checkpoint.stored_name(neutral).unwrap_or_else(|| neutral.to_string());
            Error::format(checkpoint.path(), name, "a tensor of this name", "none")
        })
    };
    let has = |neutral: &str| shape(neutral).is_some();
    Ok(ModelShape {
        body: Body::Decoder { n_vocab: rows("embedding.weight")?, tied: !has("head.weight") },
        hidden: checkpoint.hidden_size(),
        n_heads: checkpoint.n_heads(),
        n_kv_heads: n_kv_heads(checkpoint.groups()),
        head_dim: checkpoint.head_dim(),
        feed_forward: rows("layers.0.mlp.gate.weight")?,
        gated: true,
        biases: Biases {
            qkv: has("layers.0.attention.q_proj.bias"),
            output: has("layers.0.attention.o_proj.bias"),
            feed_forward: has("layers.0.mlp.gate.bias"),
        },
        norm_parameters: 1,
        n_head_norms: n_head_norms(checkpoint),
        final_norm: true,
    })
}

fn n_head_norms(checkpoint: &Checkpoint) -> usize {
    if checkpoint.has_qk_norm() { 2 } else { 0 }
}

fn n_kv_heads(groups: &[Groups]) -> Vec<usize> {
    groups.iter().map(Groups::n_kv_heads).collect()
}
