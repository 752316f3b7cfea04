//! The shape of a checkpoint's model.

use super::{Biases, Body, ModelShape};
use crate::checkpoint::{Checkpoint, Dialect};
use crate::{Error, Groups, Result};

impl ModelShape {
    /// The shape of a checkpoint's model, from its tensors.
    ///
    /// # Errors
    /// [`Error::Format`] for a checkpoint without a feed-forward part or embedding under the names of its dialect, and what
    /// [`Checkpoint::vit`] refuses.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        if checkpoint.dialect().is_vit() { vit(checkpoint) } else { decoder(checkpoint) }
    }
}

fn vit(checkpoint: &Checkpoint) -> Result<ModelShape> {
    let tensors = checkpoint.vit()?;
    let config = tensors.config();
    let n_prefix_tokens = usize::from(config.class_token);
    let layers = (0..config.n_layers).map(|layer| config.attention(layer)).collect::<Result<Vec<_>>>()?;
    Ok(ModelShape {
        body: Body::Vit {
            n_patches: config.n_positions() - n_prefix_tokens,
            patch_values: config.n_channels * config.patch_size.iter().product::<usize>(),
            n_prefix_tokens,
            n_classes: config.n_classes.unwrap_or(0),
        },
        hidden: config.d_model,
        n_heads: config.n_heads,
        n_kv_heads: layers.iter().map(|layer| layer.n_kv_heads).collect(),
        head_dim: checkpoint.head_dim(),
        feed_forward: config.mlp_size,
        gated: false,
        biases: Biases { qkv: config.attention_bias, output: config.attention_bias, feed_forward: true },
        norm_parameters: 2,
        n_head_norms: n_head_norms(checkpoint),
        final_norm: config.final_norm,
    })
}

fn decoder(checkpoint: &Checkpoint) -> Result<ModelShape> {
    let llama2c = checkpoint.dialect() == Dialect::Llama2c;
    let [embedding, head, gate, qkv, output] = if llama2c {
        [
            "tok_embeddings",
            "output",
            "layers.0.feed_forward.w1",
            "layers.0.attention.wq",
            "layers.0.attention.wo",
        ]
    } else {
        let [gate, q, o] = ["mlp.gate_proj", "self_attn.q_proj", "self_attn.o_proj"];
        ["model.embed_tokens", "lm_head", gate, q, o]
    };
    let in_layer = |part: &str| {
        if llama2c { part.to_string() } else { format!("{}{part}", checkpoint.layer_prefix(0)) }
    };
    let rows = |name: &str| {
        let weight = format!("{name}.weight");
        let shape = checkpoint.tensors().shape(&weight);
        shape
            .and_then(|shape| shape.first().copied())
            .ok_or_else(|| Error::format(checkpoint.path(), weight.as_str(), "a tensor of this name", "none"))
    };
    let has = |name: String| checkpoint.tensors().shape(&name).is_some();
    Ok(ModelShape {
        body: Body::Decoder { n_vocab: rows(embedding)?, tied: !has(format!("{head}.weight")) },
        hidden: checkpoint.hidden_size(),
        n_heads: checkpoint.n_heads(),
        n_kv_heads: n_kv_heads(checkpoint.groups()),
        head_dim: checkpoint.head_dim(),
        feed_forward: rows(&in_layer(gate))?,
        gated: true,
        biases: Biases {
            qkv: has(format!("{}.bias", in_layer(qkv))),
            output: has(format!("{}.bias", in_layer(output))),
            feed_forward: has(format!("{}.bias", in_layer(gate))),
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
