//! The weight files of a folder, and which tensors they may hold.
//!
//! A tensor without a place in the decoder would change the logits of the model that it was made for, so it is refused:
//! norms of queries and keys, biases that the configuration does not announce, scales of quantised weights, further layers.
//! Two are known to change nothing: `rotary_emb.inv_freq` of old files, and `lm_head.weight` where the embedding is the head.

use std::path::Path;

use super::super::config::DecoderConfig;
use crate::files::model_config::{INDEX_FILE, WEIGHT_FILE};
use crate::files::source::TensorSource;
use crate::files::tensor_file::TensorFolder;
use crate::{Error, Result};

/// The one file of the folder, or the files of its index.
pub(super) fn open(dir: &Path) -> Result<TensorFolder> {
    let model = dir.join(WEIGHT_FILE);
    let is_sharded = !model.exists() && dir.join(INDEX_FILE).exists();
    TensorFolder::open(if is_sharded { dir } else { &model })
}

/// Checks that every tensor has a place in a decoder of `config`.
pub(super) fn check_names(files: &TensorFolder, config: &DecoderConfig) -> Result<()> {
    for name in files.names() {
        if let Err(expected) = place(name, config) {
            let reason = format!("tensor `{name}`: expected {expected}");
            return Err(Error::File { path: TensorSource::path(files, name).to_owned(), reason });
        }
    }
    Ok(())
}

/// What was expected instead, where the tensor has no place.
fn place(name: &str, config: &DecoderConfig) -> std::result::Result<(), String> {
    if ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"].contains(&name) {
        return Ok(());
    }
    let unknown = || format!("a tensor of the {} architecture", config.family.model_type());
    let Some((layer, rest)) = name.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')) else {
        return Err(unknown());
    };
    match layer.parse::<usize>() {
        Ok(layer_idx) if layer_idx < config.n_layers => {}
        _ => return Err(format!("one of the {} layers of config.json", config.n_layers)),
    }
    let announced =
        |bias: bool| if bias { Ok(()) } else { Err("no bias, as config.json announces none".into()) };
    match rest {
        "input_layernorm.weight"
        | "post_attention_layernorm.weight"
        | "self_attn.q_proj.weight"
        | "self_attn.k_proj.weight"
        | "self_attn.v_proj.weight"
        | "self_attn.o_proj.weight"
        | "self_attn.rotary_emb.inv_freq"
        | "mlp.gate_proj.weight"
        | "mlp.up_proj.weight"
        | "mlp.down_proj.weight" => Ok(()),
        "self_attn.q_proj.bias" | "self_attn.k_proj.bias" | "self_attn.v_proj.bias" => {
            announced(config.qkv_bias())
        }
        "self_attn.o_proj.bias" => announced(config.output_bias()),
        "mlp.gate_proj.bias" | "mlp.up_proj.bias" | "mlp.down_proj.bias" => announced(config.mlp_bias),
        "self_attn.q_norm.weight" | "self_attn.k_norm.weight" => {
            Err("no norm of queries and keys (QK-norm), which this decoder does not compute".into())
        }
        _ => Err(unknown()),
    }
}
