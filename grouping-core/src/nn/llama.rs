//! Hugging Face folders of the Llama architecture: `config.json` and `model.safetensors`.
//!
//! The fields are those of `LlamaConfig`; θ is read from `rope_parameters` or `rope_theta` and written to both, for newer and
//! older readers. What this decoder does not compute (scaled rotary positions, other activations, other architectures) is
//! refused by name.

use std::path::Path;

use burn::tensor::Device;
use serde_json::{Map, Value, json};

use super::attention::{Attention, SelfAttention};
use super::decoder::{Decoder, DecoderConfig};
use super::init::Initializer;
use super::weights::{self, Layout};
use crate::folder::{Existing, write_folder};
use crate::{Error, Result};

/// Reads a decoder from the folder `dir` to `device`.
///
/// # Errors
/// [`Error::File`], [`Error::FileField`], [`Error::Shape`] or [`Error::NotFinite`] when a file is absent, damaged, or holds what this
/// decoder cannot be.
pub fn read_llama(dir: &Path, device: &Device) -> Result<Decoder> {
    read_llama_with(dir, device, |config, _layer_idx, init| SelfAttention::new(config, init))
}

/// As [`read_llama`], with the attention of each layer made by `attention`, as in [`DecoderConfig::init_with`].
///
/// # Errors
/// As [`read_llama`].
pub fn read_llama_with<A: Attention>(
    dir: &Path,
    device: &Device,
    attention: impl FnMut(&DecoderConfig, usize, &mut Initializer) -> A,
) -> Result<Decoder<A>> {
    let config = read_llama_config(dir)?;
    let path = dir.join("model.safetensors");
    let n_tensors = weights::read_shapes(&path)?.len();
    // Every layer has tensors, so a file bounds what its configuration may ask for.
    if config.n_layers > n_tensors {
        let expected = format!("at most {n_tensors}, the number of tensors");
        return Err(setting(&dir.join(CONFIG_FILE), "num_hidden_layers", expected, config.n_layers));
    }
    let decoder = config.init_with(0, device, attention);
    weights::load(decoder, &path, Layout::Checkpoint)
}

/// Reads the configuration of the folder `dir`.
///
/// # Errors
/// [`Error::File`] or [`Error::FileField`].
pub fn read_llama_config(dir: &Path) -> Result<DecoderConfig> {
    let path = dir.join(CONFIG_FILE);
    let fail = |reason: String| Error::File { path: path.clone(), reason };
    let text = std::fs::read_to_string(&path).map_err(|e| fail(e.to_string()))?;
    let fields: Map<String, Value> = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
    Fields { path: &path, fields: &fields }.config()
}

/// Writes `decoder` as the folder `dir`, which appears whole or not at all.
///
/// # Errors
/// [`Error::File`] when `dir` exists and is not to be replaced, or cannot be written, [`Error::FileField`] when an update of low rank is attached.
pub fn write_llama<A: Attention>(decoder: &Decoder<A>, dir: &Path, existing: Existing) -> Result<()> {
    if let Some((name, _)) = decoder.projections().into_iter().find(|(_, p)| p.low_rank.is_some()) {
        return Err(setting(dir, &name, "no update of low rank (fold it first)".into(), "one"));
    }
    let text = serde_json::to_string_pretty(&config_json(decoder.config())).expect("plain values serialise");
    write_folder(dir, existing, |staging| {
        let path = staging.join(CONFIG_FILE);
        std::fs::write(&path, text + "\n").map_err(|e| Error::File { path, reason: e.to_string() })?;
        weights::save(decoder, &staging.join("model.safetensors"), Layout::Checkpoint, &[("format", "pt")])
    })
}

const CONFIG_FILE: &str = "config.json";

fn config_json(config: &DecoderConfig) -> Value {
    json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.ffn_size,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads(),
        "head_dim": config.head_dim(),
        "hidden_act": "silu",
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "tie_word_embeddings": config.tied_embeddings,
        "attention_bias": config.attention_bias,
        "mlp_bias": config.mlp_bias,
        "dtype": "float32",
    })
}

struct Fields<'a> {
    path: &'a Path,
    fields: &'a Map<String, Value>,
}

impl Fields<'_> {
    fn config(&self) -> Result<DecoderConfig> {
        self.expect("model_type", "llama")?;
        if self.present("hidden_act").is_some() {
            self.expect("hidden_act", "silu")?;
        }
        let (n_heads, hidden_size) = (self.size("num_attention_heads")?, self.size("hidden_size")?);
        let n_kv_heads = self.optional_size("num_key_value_heads")?.unwrap_or(n_heads);
        let head_dim = self.optional_size("head_dim")?.unwrap_or(hidden_size / n_heads);
        if !n_heads.is_multiple_of(n_kv_heads) {
            let expected = format!("a divisor of num_attention_heads = {n_heads}");
            return Err(setting(self.path, "num_key_value_heads", expected, n_kv_heads));
        }
        if head_dim == 0 || head_dim % 2 == 1 {
            return Err(setting(self.path, "head_dim", "an even size above zero".into(), head_dim));
        }
        Ok(DecoderConfig::new(
            self.size("vocab_size")?,
            hidden_size,
            self.size("num_hidden_layers")?,
            n_heads,
            self.size("intermediate_size")?,
        )
        .with_n_kv_heads(Some(n_kv_heads))
        .with_head_dim(Some(head_dim))
        .with_rope_theta(self.rope_theta()?)
        .with_rms_norm_eps(self.positive(self.present("rms_norm_eps"), "rms_norm_eps", 1e-6)?)
        .with_max_positions(self.optional_size("max_position_embeddings")?.unwrap_or(2048))
        .with_tied_embeddings(self.flag("tie_word_embeddings")?)
        .with_attention_bias(self.flag("attention_bias")?)
        .with_mlp_bias(self.flag("mlp_bias")?))
    }

    fn rope_theta(&self) -> Result<f64> {
        let nested = self.present("rope_parameters");
        for (name, settings) in [("rope_parameters", nested), ("rope_scaling", self.present("rope_scaling"))]
        {
            let Some(settings) = settings else { continue };
            let kind = settings.get("rope_type").or_else(|| settings.get("type"));
            if kind.is_some_and(|kind| kind != "default") {
                let expected = "rope_type \"default\"".to_owned();
                return Err(setting(self.path, name, expected, settings));
            }
        }
        let theta = nested.and_then(|settings| settings.get("rope_theta"));
        self.positive(theta.or_else(|| self.present("rope_theta")), "rope_theta", 10000.0)
    }

    /// The field unless it is absent or null.
    fn present(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    fn expect(&self, name: &str, expected: &str) -> Result<()> {
        match self.present(name) {
            Some(found) if found == expected => Ok(()),
            found => Err(setting(self.path, name, format!("{expected:?}"), or_nothing(found))),
        }
    }

    fn size(&self, name: &str) -> Result<usize> {
        match self.optional_size(name)? {
            Some(size) => Ok(size),
            None => Err(setting(self.path, name, SIZE.into(), "nothing")),
        }
    }

    fn optional_size(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.present(name) else { return Ok(None) };
        match value.as_u64().filter(|size| (1..=u64::from(u32::MAX)).contains(size)) {
            Some(size) => Ok(Some(size as usize)),
            None => Err(setting(self.path, name, SIZE.into(), value)),
        }
    }

    fn positive(&self, value: Option<&Value>, name: &str, default: f64) -> Result<f64> {
        let Some(value) = value else { return Ok(default) };
        match value.as_f64().filter(|number| number.is_finite() && *number > 0.0) {
            Some(number) => Ok(number),
            None => Err(setting(self.path, name, "a number above zero".into(), value)),
        }
    }

    fn flag(&self, name: &str) -> Result<bool> {
        match self.present(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(setting(self.path, name, "true or false".into(), other)),
        }
    }
}

const SIZE: &str = "a whole number from 1 to 4294967295";

fn or_nothing(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".into(), Value::to_string)
}

fn setting(path: &Path, field: &str, expected: String, found: impl ToString) -> Error {
    Error::FileField { path: path.to_owned(), field: field.to_owned(), expected, found: found.to_string() }
}
