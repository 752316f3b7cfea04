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

use serde_json::{Value, json};

use super::super::config::{DecoderConfig, Family};
use crate::files::json::Fields;
use crate::files::model_config::{heads, refuse_quantised};
use crate::kernels::RopeScaling;
use crate::{Error, Result};

/// The decoder that a configuration says.
///
/// # Errors
/// [`Error::FileField`] for a field that is missing, is not of its kind, or says what this decoder does not compute.
pub(super) fn decoder(fields: &Fields) -> Result<DecoderConfig> {
    let family = Family::of(fields);
    let family = family.ok_or_else(|| fields.misfit("model_type", r#""llama", "mistral" or "qwen2""#))?;
    refuse_quantised(fields)?;
    for name in ["use_qk_norm", "qk_norm", "qk_layernorm"] {
        if fields.flag(name)? {
            return Err(fields.misfit(name, "false: norms of queries and keys are not computed"));
        }
    }
    refuse_partial_rotation(fields)?;
    if fields.present("hidden_act").is_some_and(|found| found != "silu") {
        return Err(fields.misfit("hidden_act", r#""silu""#));
    }
    let hidden_size = fields.size("hidden_size")?;
    let (n_heads, head_dim) = heads(fields, hidden_size)?;
    let n_layers = fields.size("num_hidden_layers")?;
    let n_kv_heads = family.n_kv_heads(fields, n_heads)?;
    if head_dim == 0 || head_dim % 2 == 1 {
        return Err(fields.misfit_of("head_dim", "an even size above zero", head_dim));
    }
    let max_positions = fields.optional_size("max_position_embeddings")?.unwrap_or(2048);
    let (theta, scaling) = rope(fields, max_positions)?;
    let (window, full_layers) = window(fields, family, n_layers)?;
    let is_llama = family == Family::Llama;
    let ffn_size = fields.size("intermediate_size")?;
    Ok(DecoderConfig::new(fields.size("vocab_size")?, hidden_size, n_layers, n_heads, ffn_size)
        .with_family(family)
        .with_n_kv_heads(Some(n_kv_heads))
        .with_head_dim(Some(head_dim))
        .with_rope_theta(theta)
        .with_rope_scaling(scaling)
        .with_rms_norm_eps(fields.optional_positive("rms_norm_eps")?.unwrap_or(1e-6))
        .with_max_positions(max_positions)
        .with_tied_embeddings(fields.flag("tie_word_embeddings")?)
        .with_attention_bias(is_llama && fields.flag("attention_bias")?)
        .with_mlp_bias(is_llama && fields.flag("mlp_bias")?)
        .with_sliding_window(window)
        .with_full_attention_layers(full_layers))
}

fn refuse_partial_rotation(fields: &Fields) -> Result<()> {
    match fields.present("partial_rotary_factor") {
        Some(found) if found.as_f64() != Some(1.0) => {
            Err(fields.misfit("partial_rotary_factor", "1: the whole head is turned"))
        }
        _ => Ok(()),
    }
}

/// The window, and the layers without it.
fn window(fields: &Fields, family: Family, n_layers: usize) -> Result<(Option<usize>, Vec<usize>)> {
    let window = match fields.is_written("sliding_window") {
        false => Some(4096),
        true => fields.optional_size("sliding_window")?,
    };
    match family {
        Family::Llama => Ok((None, Vec::new())),
        Family::Mistral => {
            if fields.present("layer_types").is_some() {
                return Err(fields.misfit("layer_types", "nothing: Mistral has one kind of layer"));
            }
            Ok((window, Vec::new()))
        }
        Family::Qwen2 => {
            let window = if fields.flag("use_sliding_window")? { window } else { None };
            let full_layers = match fields.present("layer_types") {
                Some(kinds) => full_layers(fields, kinds, window, n_layers)?,
                None => {
                    let first = match fields.present("max_window_layers") {
                        None => 28,
                        Some(number) if number.as_u64() == Some(0) => 0,
                        Some(_) => fields.size("max_window_layers")?,
                    };
                    (0..first.min(n_layers)).collect()
                }
            };
            Ok(if window.is_none() { (None, Vec::new()) } else { (window, full_layers) })
        }
    }
}

/// The layers that `layer_types` calls full.
fn full_layers(fields: &Fields, kinds: &Value, window: Option<usize>, n_layers: usize) -> Result<Vec<usize>> {
    let Some(kinds) = kinds.as_array().filter(|kinds| kinds.len() == n_layers) else {
        return Err(fields.misfit("layer_types", format!("a list of {n_layers} kinds")));
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
                return Err(fields.misfit_of(&format!("layer_types[{layer_idx}]"), expected, kind));
            }
        }
    }
    Ok(full)
}

/// θ and its scaling.
fn rope(fields: &Fields, max_positions: usize) -> Result<(f64, RopeScaling)> {
    let theta = |fields: &Fields| fields.optional_positive("rope_theta");
    let mut found: Option<(f64, RopeScaling)> = None;
    for name in ["rope_parameters", "rope_scaling"] {
        let Some(inner) = fields.object(name)? else { continue };
        let of_inner = match theta(&inner)? {
            Some(theta) => theta,
            None => theta(fields)?.unwrap_or(10_000.0),
        };
        refuse_partial_rotation(&inner)?;
        let scaling = scaling(&inner, max_positions)?
            .ok_or_else(|| fields.misfit(name, r#"rope_type "default" or "llama3""#))?;
        let settings = (of_inner, scaling);
        if found.is_some_and(|first| first != settings) {
            return Err(fields.misfit(name, "what rope_parameters says"));
        }
        found = Some(settings);
    }
    match found {
        Some(settings) => Ok(settings),
        None => Ok((theta(fields)?.unwrap_or(10_000.0), RopeScaling::None)),
    }
}

/// The scaling that an object says; nothing for a kind that is not computed.
fn scaling(fields: &Fields, max_positions: usize) -> Result<Option<RopeScaling>> {
    let kind = fields.present("rope_type").or_else(|| fields.present("type"));
    match kind.map_or(Some("default"), Value::as_str) {
        Some("default") if !fields.as_map().values().any(Value::is_object) => Ok(Some(RopeScaling::None)),
        Some("llama3") => {
            let (low, high) = (fields.positive("low_freq_factor")?, fields.positive("high_freq_factor")?);
            let factor = fields.positive("factor")?;
            if factor < 1.0 {
                return Err(fields.misfit("factor", "a number of at least 1"));
            }
            if high <= low {
                let expected = format!("a number above low_freq_factor = {low}");
                return Err(fields.misfit("high_freq_factor", expected));
            }
            let original = fields.optional_size("original_max_position_embeddings")?;
            Ok(Some(RopeScaling::Llama3 {
                factor,
                low_freq_factor: low,
                high_freq_factor: high,
                original_max_positions: original.unwrap_or(max_positions),
            }))
        }
        _ => Ok(None),
    }
}

/// The fields of `config`; `path` names it in errors.
pub(super) fn to_json(config: &DecoderConfig, path: &Path) -> Result<Value> {
    let refuse = |field: &str, expected: &str| Err(Error::file_field(path, field, expected, "one"));
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
