//! `config.json` of Hugging Face's folders, as far as every reader of them needs it: the family and the heads.
//!
//! `num_key_value_heads` may be absent: Llama then has as many as heads, Mistral 8 and Qwen2 32; `null` is as many as heads in all of them.
//! `head_dim` may be absent: the hidden size divided by the number of heads. Quantised weights are refused by name.

use serde::{Deserialize, Serialize};

use super::json::Fields;
use crate::Result;

/// Name of the file.
pub const CONFIG_FILE: &str = "config.json";
/// The one file of a folder's weights.
pub const WEIGHT_FILE: &str = "model.safetensors";
/// Which of several files holds each tensor.
pub const INDEX_FILE: &str = "model.safetensors.index.json";

/// A family of decoders of the Llama architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Family {
    /// Llama.
    Llama,
    /// Mistral: Llama with a sliding window.
    Mistral,
    /// Qwen2 and Qwen2.5: Llama with biases on q, k and v.
    Qwen2,
}

impl Family {
    /// All families.
    pub const ALL: [Self; 3] = [Self::Llama, Self::Mistral, Self::Qwen2];

    /// The family that a configuration's `model_type` names.
    pub fn of(fields: &Fields) -> Option<Self> {
        let model_type = fields.present("model_type")?;
        Self::ALL.into_iter().find(|family| model_type == family.model_type())
    }

    /// Its `model_type`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
        }
    }

    /// Its entry in `architectures`.
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
        }
    }

    /// The number of key/value heads that a configuration of `n_heads` query heads says.
    ///
    /// # Errors
    /// [`Error::FileField`](crate::Error::FileField) for what is no size.
    pub fn n_kv_heads(self, fields: &Fields, n_heads: usize) -> Result<usize> {
        let unsaid = match self {
            Self::Mistral if !fields.is_written("num_key_value_heads") => 8,
            Self::Qwen2 if !fields.is_written("num_key_value_heads") => 32,
            _ => n_heads,
        };
        Ok(fields.optional_size("num_key_value_heads")?.unwrap_or(unsaid))
    }
}

/// Number and length of query heads that a configuration says, of a model whose hidden size is `hidden_size`.
///
/// # Errors
/// [`Error::FileField`](crate::Error::FileField) for what is absent or no size.
pub fn heads(fields: &Fields, hidden_size: usize) -> Result<(usize, usize)> {
    let n_heads = fields.size("num_attention_heads")?;
    Ok((n_heads, fields.optional_size("head_dim")?.unwrap_or(hidden_size / n_heads)))
}

/// Refuses a configuration of quantised weights.
///
/// # Errors
/// [`Error::FileField`](crate::Error::FileField) where it is one.
pub fn refuse_quantised(fields: &Fields) -> Result<()> {
    match fields.present("quantization_config") {
        None => Ok(()),
        Some(_) => {
            let expected = "nothing: quantised checkpoints are not read, only f32, f16 and bf16";
            Err(fields.misfit("quantization_config", expected))
        }
    }
}
