//! Decoders of the Llama family with grouped attention in place of their own, and text from them.
//!
//! [`read_decoder`] reads a Hugging Face folder or a llama2.c checkpoint, with the sizes of its groups where a `kd_gqa.json` lies
//! beside; [`LanguageModel`] adds the tokenizer and continues text.

mod attention;
mod language_model;
mod layer_groups;

use std::path::Path;

use burn::tensor::Device;
use grouping_core::nn::{
    Decoder, DecoderConfig, Initializer, Llama2cConfig, read_llama_config, read_llama_with,
    read_llama2c_config, read_llama2c_with,
};
use grouping_core::tensor_file::has_names;

pub use attention::{GroupedSelfAttention, LayerCache};
pub use language_model::{Completion, LanguageModel, TextEvent};
pub use layer_groups::read_layer_groups;

use crate::checkpoint::{HeadsRecord, RECORD_FILE};
use crate::{Error, Groups, Result};

/// A decoder whose layers may group their heads each in its own way.
pub type GroupedDecoder = Decoder<GroupedSelfAttention>;

/// Reads a decoder: `path` is a folder of the Llama family, or a checkpoint of llama2.c.
///
/// The groups are those of `kd_gqa.json` in the folder, or beside the checkpoint (`<file name>.kd_gqa.json` before `kd_gqa.json`);
/// without it, all of one size.
///
/// # Errors
/// [`Error::Format`] of groups that do not fit, [`Error::Core`] of what the readers of [`grouping_core::nn`] refuse.
pub fn read_decoder(path: &Path, device: &Device) -> Result<GroupedDecoder> {
    let is_folder = path.is_dir();
    if path.is_file() && has_names(path)? {
        let expected = "a folder of the Llama family with config.json, or a .bin of llama2.c";
        return Err(Error::format(path, "model", expected, "a file of safetensors or of torch.save"));
    }
    let (config, equal_groups) = if is_folder {
        (read_llama_config(path)?, true)
    } else {
        let Llama2cConfig { decoder, equal_groups, .. } = read_llama2c_config(path)?;
        (decoder, equal_groups)
    };
    let groups = match groups_beside(path, is_folder, &config)? {
        Some(groups) => groups,
        None => {
            let (n_heads, n_kv_heads) = (config.n_heads, config.n_kv_heads());
            let groups = Groups::uniform(n_heads, n_kv_heads).ok().filter(|_| equal_groups);
            vec![groups.ok_or_else(|| {
                let expected =
                    format!("a divisor of the {n_heads} heads, or a {RECORD_FILE} for unequal groups");
                let found =
                    if equal_groups { n_kv_heads.to_string() } else { format!("-{n_kv_heads} and none") };
                Error::format(path, "key/value heads", expected, found)
            })?]
        }
    };
    // One for all layers, or one each.
    let attention = |config: &DecoderConfig, layer_idx: usize, init: &mut Initializer| {
        GroupedSelfAttention::new(config, layer_idx, &groups[layer_idx.min(groups.len() - 1)], init)
    };
    Ok(if is_folder {
        read_llama_with(path, device, attention)?
    } else {
        read_llama2c_with(path, device, attention)?
    })
}

/// The groups of the first file beside the model that is about it.
fn groups_beside(path: &Path, is_folder: bool, config: &DecoderConfig) -> Result<Option<Vec<Groups>>> {
    let candidates =
        if is_folder { vec![path.join(RECORD_FILE)] } else { HeadsRecord::places_beside(path).to_vec() };
    for file in candidates.into_iter().filter(|file| file.exists()) {
        let groups = read_layer_groups(&file, path, config.n_layers, config.n_heads)?;
        if groups.is_some() {
            return Ok(groups);
        }
    }
    Ok(None)
}
