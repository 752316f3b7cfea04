//! `config.json` of Hugging Face's folders, as far as heads are concerned, and its editing.
//!
//! `num_key_value_heads` may be absent: Llama then has as many as heads, Mistral 8 and Qwen2 32. `head_dim` may be absent: the hidden
//! size divided by the number of heads. What this crate would silently get wrong is refused by name: quantised weights, other model types.

use std::path::{Path, PathBuf};

use grouping_core::files::text::read_text;
use serde_json::{Map, Value};

use crate::{Error, Result};

/// Name of the file.
pub(crate) const CONFIG_FILE: &str = "config.json";
/// A configuration is a few kilobytes; nobody needs more than this to be read.
const LIMIT: u64 = 16 << 20;
const LLAMAS: [&str; 3] = ["llama", "mistral", "qwen2"];
const VITS: [&str; 2] = ["vit", "deit"];

/// A configuration, as it was read.
#[derive(Debug, Clone)]
pub(crate) struct ModelConfig {
    path: PathBuf,
    fields: Map<String, Value>,
}

impl ModelConfig {
    /// Reads a configuration's file.
    ///
    /// # Errors
    /// [`Error::Core`] for a file that cannot be read, [`Error::Format`] for one that is no object, of an unknown model type, or quantised.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = read_text(path, LIMIT)?;
        let fields: Map<String, Value> = serde_json::from_str(&text)
            .map_err(|e| Error::format(path, "configuration", "an object of settings", e))?;
        let config = Self { path: path.to_path_buf(), fields };
        if !config.is_llama() && !config.is_vit() {
            let expected = format!("one of {}", [&LLAMAS[..], &VITS].concat().join(", "));
            return Err(config.misfit("model_type", expected));
        }
        if config.present("quantization_config").is_some() {
            return Err(config.misfit("quantization_config", "none: quantised checkpoints are not read"));
        }
        Ok(config)
    }

    fn model_type(&self) -> &str {
        self.fields.get("model_type").and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn is_llama(&self) -> bool {
        LLAMAS.contains(&self.model_type())
    }

    pub(crate) fn is_vit(&self) -> bool {
        VITS.contains(&self.model_type())
    }

    /// The field unless it is absent or null.
    pub(crate) fn present(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn misfit(&self, name: &str, expected: impl Into<String>) -> Error {
        let found = self.present(name).map_or_else(|| "nothing".into(), Value::to_string);
        Error::format(&self.path, name, expected, found)
    }

    /// A size above zero, if it is said.
    pub(crate) fn optional_size(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.present(name) else { return Ok(None) };
        match value.as_u64().filter(|size| (1..=u64::from(u32::MAX)).contains(size)) {
            Some(size) => Ok(Some(size as usize)),
            None => Err(self.misfit(name, "a whole number from 1 to 4294967295")),
        }
    }

    /// A size above zero.
    pub(crate) fn size(&self, name: &str) -> Result<usize> {
        self.optional_size(name)?.ok_or_else(|| self.misfit(name, "a whole number above zero"))
    }

    /// The number of key/value heads of a decoder; `null` is as many as heads, whatever the family's default.
    pub(crate) fn n_kv_heads(&self, n_heads: usize) -> Result<usize> {
        let usual = match self.model_type() {
            "mistral" => 8,
            "qwen2" => 32,
            _ => n_heads,
        };
        let unsaid = if self.fields.contains_key("num_key_value_heads") { n_heads } else { usual };
        Ok(self.optional_size("num_key_value_heads")?.unwrap_or(unsaid))
    }

    /// The configuration's text with other numbers of heads; everything else is kept.
    pub(crate) fn with_heads(&self, n_kv_heads: usize, head_dim: usize) -> String {
        let mut fields = self.fields.clone();
        fields.insert("num_key_value_heads".into(), n_kv_heads.into());
        fields.insert("head_dim".into(), head_dim.into());
        let text = serde_json::to_string_pretty(&Value::Object(fields)).expect("what was JSON is JSON");
        text + "\n"
    }
}
