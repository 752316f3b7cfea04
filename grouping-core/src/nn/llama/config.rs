//! `config.json` of the three families, in and out.
//!
//! | field | Llama | Mistral | Qwen2 |
//! |---|---|---|---|
//! | biases | `attention_bias` (q, k, v, o), `mlp_bias` | none | q, k, v always |
//! | `num_key_value_heads`, absent | as `num_attention_heads` | 8 | 32 |
//! | `sliding_window`, absent | has none | 4096 | 4096, where `use_sliding_window` |
//! | layers with the window | none | all | from `max_window_layers` (absent: 28), or `layer_types` |
//!
//! θ and its scaling are read from `rope_parameters`, or `rope_scaling` and `rope_theta`, and written to all of them, for newer
//! and older readers. Scalings other than `default` and `llama3` are refused by name, as are rotary positions on a part of a head,
//! quantised weights and norms of queries and keys.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::super::config::{DecoderConfig, Family};
use super::fields::{Fields, or_nothing, setting};
use crate::kernels::RopeScaling;
use crate::{Error, Result};

pub(super) const CONFIG_FILE: &str = "config.json";

pub(super) fn read(path: &Path) -> Result<DecoderConfig> {
    let fail = |reason: String| Error::File { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    let fields: Map<String, Value> = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
    Fields { path, fields: &fields, within: "" }.config()
}

impl Fields<'_> {
    fn config(&self) -> Result<DecoderConfig> {
        let family = self.family()?;
        self.refuse_what_is_not_computed()?;
        if self.present("hidden_act").is_some() {
            self.expect("hidden_act", "silu")?;
        }
        let (n_heads, hidden_size) = (self.size("num_attention_heads")?, self.size("hidden_size")?);
        let n_layers = self.size("num_hidden_layers")?;
        let n_kv_heads = self.n_kv_heads(family, n_heads)?;
        let head_dim = self.optional_size("head_dim")?.unwrap_or(hidden_size / n_heads);
        if head_dim == 0 || head_dim % 2 == 1 {
            return Err(self.misfit("head_dim", "an even size above zero", head_dim));
        }
        let max_positions = self.optional_size("max_position_embeddings")?.unwrap_or(2048);
        let (theta, scaling) = self.rope(max_positions)?;
        let (window, full_layers) = self.window(family, n_layers)?;
        let is_llama = family == Family::Llama;
        Ok(DecoderConfig::new(
            self.size("vocab_size")?,
            hidden_size,
            n_layers,
            n_heads,
            self.size("intermediate_size")?,
        )
        .with_family(family)
        .with_n_kv_heads(Some(n_kv_heads))
        .with_head_dim(Some(head_dim))
        .with_rope_theta(theta)
        .with_rope_scaling(scaling)
        .with_rms_norm_eps(self.positive("rms_norm_eps", 1e-6)?)
        .with_max_positions(max_positions)
        .with_tied_embeddings(self.flag("tie_word_embeddings")?)
        .with_attention_bias(is_llama && self.flag("attention_bias")?)
        .with_mlp_bias(is_llama && self.flag("mlp_bias")?)
        .with_sliding_window(window)
        .with_full_attention_layers(full_layers))
    }

    fn family(&self) -> Result<Family> {
        let found = self.present("model_type");
        let families = [Family::Llama, Family::Mistral, Family::Qwen2];
        let known = families.into_iter().find(|family| found.is_some_and(|f| f == family.model_type()));
        known.ok_or_else(|| self.misfit("model_type", r#""llama", "mistral" or "qwen2""#, or_nothing(found)))
    }

    fn refuse_what_is_not_computed(&self) -> Result<()> {
        if let Some(found) = self.present("quantization_config") {
            let expected = "nothing: quantised weights are not read, only f32, f16 and bf16";
            return Err(self.misfit("quantization_config", expected, found));
        }
        for name in ["use_qk_norm", "qk_norm", "qk_layernorm"] {
            if self.flag(name)? {
                return Err(self.misfit(name, "false: norms of queries and keys are not computed", "true"));
            }
        }
        self.refuse_partial_rotation()
    }

    fn refuse_partial_rotation(&self) -> Result<()> {
        match self.present("partial_rotary_factor") {
            Some(found) if found.as_f64() != Some(1.0) => {
                Err(self.misfit("partial_rotary_factor", "1: the whole head is turned", found))
            }
            _ => Ok(()),
        }
    }

    fn n_kv_heads(&self, family: Family, n_heads: usize) -> Result<usize> {
        let written = self.fields.contains_key("num_key_value_heads");
        Ok(match (self.optional_size("num_key_value_heads")?, family) {
            (Some(n_kv_heads), _) => n_kv_heads,
            (None, Family::Mistral) if !written => 8,
            (None, Family::Qwen2) if !written => 32,
            (None, _) => n_heads,
        })
    }

    /// The window, and the layers without it.
    fn window(&self, family: Family, n_layers: usize) -> Result<(Option<usize>, Vec<usize>)> {
        let window = match self.fields.get("sliding_window") {
            None => Some(4096),
            Some(_) => self.optional_size("sliding_window")?,
        };
        match family {
            Family::Llama => Ok((None, Vec::new())),
            Family::Mistral => {
                if self.present("layer_types").is_some() {
                    return Err(self.misfit("layer_types", "nothing: Mistral has one kind of layer", "some"));
                }
                Ok((window, Vec::new()))
            }
            Family::Qwen2 => {
                let window = if self.flag("use_sliding_window")? { window } else { None };
                let full_layers = match self.present("layer_types") {
                    Some(kinds) => self.full_layers(kinds, window, n_layers)?,
                    None => {
                        let first = match self.present("max_window_layers") {
                            None => 28,
                            Some(Value::Number(number)) if number.as_u64() == Some(0) => 0,
                            Some(_) => self.size("max_window_layers")?,
                        };
                        (0..first.min(n_layers)).collect()
                    }
                };
                Ok(if window.is_none() { (None, Vec::new()) } else { (window, full_layers) })
            }
        }
    }

    /// The layers that `layer_types` calls full.
    fn full_layers(&self, kinds: &Value, window: Option<usize>, n_layers: usize) -> Result<Vec<usize>> {
        let Some(kinds) = kinds.as_array().filter(|kinds| kinds.len() == n_layers) else {
            return Err(self.misfit("layer_types", format!("a list of {n_layers} kinds"), kinds));
        };
        let mut full = Vec::new();
        for (layer_idx, kind) in kinds.iter().enumerate() {
            match kind.as_str() {
                Some("full_attention") => full.push(layer_idx),
                Some("sliding_attention") if window.is_some() => {}
                _ => {
                    let expected = if window.is_some() {
                        r#""full_attention" or "sliding_attention""#
                    } else {
                        r#""full_attention", as there is no sliding_window"#
                    };
                    return Err(self.misfit(&format!("layer_types[{layer_idx}]"), expected, kind));
                }
            }
        }
        Ok(full)
    }

    /// θ and its scaling.
    fn rope(&self, max_positions: usize) -> Result<(f64, RopeScaling)> {
        let mut found: Option<(f64, RopeScaling)> = None;
        for (name, prefix) in [("rope_parameters", "rope_parameters."), ("rope_scaling", "rope_scaling.")] {
            let Some(value) = self.present(name) else { continue };
            let Some(fields) = value.as_object() else {
                return Err(self.misfit(name, "an object", value));
            };
            let inner = Fields { path: self.path, fields, within: prefix };
            let theta = match inner.present("rope_theta") {
                Some(_) => inner.positive("rope_theta", 10_000.0)?,
                None => self.positive("rope_theta", 10_000.0)?,
            };
            let settings = (theta, inner.scaling(name, value, max_positions)?);
            if found.is_some_and(|first| first != settings) {
                return Err(self.misfit(name, "what rope_parameters says", value));
            }
            found = Some(settings);
        }
        match found {
            Some(settings) => Ok(settings),
            None => Ok((self.positive("rope_theta", 10_000.0)?, RopeScaling::None)),
        }
    }

    /// The scaling of this object, which the file calls `name`.
    fn scaling(&self, name: &str, whole: &Value, max_positions: usize) -> Result<RopeScaling> {
        self.refuse_partial_rotation()?;
        let outer = Fields { within: "", ..*self };
        let kind = self.present("rope_type").or_else(|| self.present("type"));
        match kind.map_or(Some("default"), Value::as_str) {
            Some("default") if !self.fields.values().any(Value::is_object) => Ok(RopeScaling::None),
            Some("llama3") => {
                let (low, high) = (self.required("low_freq_factor")?, self.required("high_freq_factor")?);
                let factor = self.required("factor")?;
                if factor < 1.0 {
                    return Err(self.misfit("factor", "a number of at least 1", factor));
                }
                if high <= low {
                    let expected = format!("a number above low_freq_factor = {low}");
                    return Err(self.misfit("high_freq_factor", expected, high));
                }
                Ok(RopeScaling::Llama3 {
                    factor,
                    low_freq_factor: low,
                    high_freq_factor: high,
                    original_max_positions: self
                        .optional_size("original_max_position_embeddings")?
                        .unwrap_or(max_positions),
                })
            }
            _ => Err(outer.misfit(name, r#"rope_type "default" or "llama3""#, whole)),
        }
    }
}

/// The fields of `config`; `path` names it in errors.
pub(super) fn to_json(config: &DecoderConfig, path: &Path) -> Result<Value> {
    let refuse = |field: &str, expected: &str| Err(setting(path, field, expected.to_owned(), "one"));
    match config.family {
        Family::Llama if config.sliding_window.is_some() => {
            return refuse("sliding_window", "none in the family llama");
        }
        Family::Mistral if !config.full_attention_layers.is_empty() => {
            return refuse("full_attention_layers", "none in the family mistral");
        }
        Family::Mistral | Family::Qwen2 if config.attention_bias || config.mlp_bias => {
            return refuse("attention_bias or mlp_bias", "none in the families mistral and qwen2");
        }
        _ => {}
    }
    let mut fields = json!({
        "architectures": [config.family.architecture()],
        "model_type": config.family.model_type(),
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
        "dtype": "float32",
    });
    if let RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_positions } =
        config.rope_scaling
    {
        let mut scaling = json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low_freq_factor,
            "high_freq_factor": high_freq_factor,
            "original_max_position_embeddings": original_max_positions,
        });
        fields["rope_scaling"] = scaling.clone();
        scaling["rope_theta"] = json!(config.rope_theta);
        fields["rope_parameters"] = scaling;
    }
    match config.family {
        Family::Llama => {
            fields["attention_bias"] = json!(config.attention_bias);
            fields["mlp_bias"] = json!(config.mlp_bias);
        }
        Family::Mistral => fields["sliding_window"] = json!(config.sliding_window),
        Family::Qwen2 => {
            fields["use_sliding_window"] = json!(config.sliding_window.is_some());
            fields["sliding_window"] = json!(config.sliding_window);
            let kind = |layer_idx| match config.window(layer_idx) {
                Some(_) => "sliding_attention",
                None => "full_attention",
            };
            fields["layer_types"] = json!((0..config.n_layers).map(kind).collect::<Vec<_>>());
        }
    }
    Ok(fields)
}
