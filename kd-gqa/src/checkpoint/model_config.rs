//! `config.json` of Hugging Face's folders, as far as heads are concerned, and its editing. Other model types are refused by name.

use std::path::Path;

use grouping_core::files::json::Fields;
use grouping_core::files::model_config::{Family, refuse_quantised};
use serde_json::Value;

use crate::Result;

const VITS: [&str; 2] = ["vit", "deit"];

/// A configuration, as it was read.
#[derive(Debug, Clone)]
pub(crate) struct ModelConfig {
    pub(crate) fields: Fields,
    /// The family of a decoder; none of a vision transformer.
    pub(crate) family: Option<Family>,
}

impl ModelConfig {
    /// Reads a configuration's file.
    ///
    /// # Errors
    /// [`Error::Core`](crate::Error::Core) for a file that cannot be read, is no object, of an unknown model type, or quantised.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let fields = Fields::read(path)?;
        let family = Family::of(&fields);
        let is_vit = fields.present("model_type").and_then(Value::as_str).is_some_and(|t| VITS.contains(&t));
        if family.is_none() && !is_vit {
            let known = Family::ALL.map(Family::model_type).into_iter().chain(VITS);
            let expected = format!("one of {}", known.collect::<Vec<_>>().join(", "));
            return Err(fields.misfit("model_type", expected).into());
        }
        refuse_quantised(&fields)?;
        Ok(Self { fields, family })
    }

    /// The configuration's text with other numbers of heads; everything else is kept.
    pub(crate) fn with_heads(&self, n_kv_heads: usize, head_dim: usize) -> String {
        let mut fields = self.fields.as_map().clone();
        fields.insert("num_key_value_heads".into(), n_kv_heads.into());
        fields.insert("head_dim".into(), head_dim.into());
        let text = serde_json::to_string_pretty(&Value::Object(fields)).expect("what was JSON is JSON");
        text + "\n"
    }
}
