//! Hugging Face folders of the Llama, Mistral and Qwen2 architectures: `config.json` beside `model.safetensors`, or beside the
//! files of `model.safetensors.index.json`.
//!
//! What this decoder does not compute (other architectures and activations, rotary scalings but `llama3`, quantised weights,
//! norms on queries and keys, any tensor without a place here) is refused by name; see `config.rs` and `tensors.rs`.

mod config;
mod tensors;

use std::path::Path;

use burn::tensor::Device;

use super::attention::{Attention, SelfAttention};
use super::config::DecoderConfig;
use super::decoder::Decoder;
use super::init::Initializer;
use super::weights::{self, Layout};
use crate::files::json::Fields;
use crate::files::model_config::{CONFIG_FILE, WEIGHT_FILE};
use crate::files::output::{Existing, write_folder};
use crate::{Error, Result};

/// Reads a decoder from the folder `dir` to `device`.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read, [`Error::FileField`], [`Error::File`], [`Error::Shape`] or [`Error::NotFinite`] for one that
/// is damaged or holds what this decoder cannot be.
pub fn read_llama(dir: &Path, device: &Device) -> Result<Decoder> {
    let config = read_llama_config(dir)?;
    let (n_heads, n_kv_heads) = (config.n_heads, config.n_kv_heads());
    if !n_heads.is_multiple_of(n_kv_heads) {
        let expected = format!("a divisor of num_attention_heads = {n_heads}");
        return Err(Error::file_field(&dir.join(CONFIG_FILE), "num_key_value_heads", expected, n_kv_heads));
    }
    read_llama_with(dir, device, SelfAttention::new)
}

/// As [`read_llama`], with the attention of each layer made by `attention`, as in [`DecoderConfig::init_with`].
///
/// It is not checked that the key and value heads divide the query heads: that is the attention's matter.
///
/// # Errors
/// As [`read_llama`].
pub fn read_llama_with<A: Attention>(
    dir: &Path,
    device: &Device,
    attention: impl FnMut(&DecoderConfig, usize, &mut Initializer) -> A,
) -> Result<Decoder<A>> {
    let config = read_llama_config(dir)?;
    let files = tensors::open(dir)?;
    let n_tensors = files.names().count();
    // Every layer has tensors, so a file bounds what its configuration may ask for.
    if config.n_layers > n_tensors {
        let expected = format!("at most {n_tensors}, the number of tensors");
        return Err(Error::file_field(
            &dir.join(CONFIG_FILE),
            "num_hidden_layers",
            expected,
            config.n_layers,
        ));
    }
    tensors::check_names(&files, &config)?;
    weights::load_from(config.init_with(0, device, attention), &files, Layout::Checkpoint)
}

/// Reads the configuration of the folder `dir`.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read, [`Error::FileField`] for a field that is not as this decoder needs it.
pub fn read_llama_config(dir: &Path) -> Result<DecoderConfig> {
    config::decoder(&Fields::read(&dir.join(CONFIG_FILE))?)
}

/// Writes `decoder` as the folder `dir`, which appears whole or not at all; weights are f32 in one file.
///
/// # Errors
/// Those of [`write_folder`]; [`Error::FileField`] when an update of low rank is attached,
/// an attention has what no file says, or the family has no field for a setting.
pub fn write_llama<A: Attention>(decoder: &Decoder<A>, dir: &Path, existing: Existing) -> Result<()> {
    if let Some((name, _)) = decoder.projections().into_iter().find(|(_, p)| p.low_rank.is_some()) {
        return Err(Error::file_field(dir, name, "no update of low rank (fold it first)", "one"));
    }
    if let Some(unsaid) = decoder.model.layers.iter().find_map(|layer| layer.self_attn.unsaid()) {
        return Err(Error::file_field(dir, "self_attn", "what the format has a place for", unsaid));
    }
    let fields = config::to_json(decoder.config(), dir)?;
    let text = serde_json::to_string_pretty(&fields).expect("plain values serialise");
    write_folder(dir, existing, |staging| {
        let path = staging.join(CONFIG_FILE);
        std::fs::write(&path, text + "\n").map_err(Error::file(&path, "write"))?;
        weights::save(decoder, &staging.join(WEIGHT_FILE), Layout::Checkpoint, Some(("format", "pt")))
    })
}
