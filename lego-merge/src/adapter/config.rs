//! `adapter_config.json` of PEFT's LoRA: the fields that merging honours, and all others kept as they are.
//!
//! The scale of a module of rank `r` is `α / r`, or `α / √r` with `use_rslora`; `rank_pattern` and `alpha_pattern`
//! override `r` and `α` for the modules whose name matches `(.*\.)?(KEY)$`, the first key in the file's order first.

use std::collections::BTreeMap;
use std::path::Path;

use indexmap::IndexMap;
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LoraModule;
use super::pattern_keys::by_full_name;
use crate::{Error, Result};

/// Name of the configuration's file in an adapter's folder.
pub const CONFIG_FILE: &str = "adapter_config.json";

/// Modules that an adapter targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum TargetModules {
    /// A regular expression on full names, or `all-linear`.
    Pattern(String),
    /// Full names or suffixes of names.
    Names(Vec<String>),
}

/// A LoRA configuration as PEFT writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterConfig {
    /// Always `LORA`.
    #[serde(default = "lora")]
    pub peft_type: String,
    /// Rank of modules without a `rank_pattern`.
    pub r: usize,
    /// `α` of modules without an `alpha_pattern`.
    #[serde(serialize_with = "number")]
    pub lora_alpha: f64,
    /// Scale by `α / √r` instead of `α / r`.
    #[serde(default, deserialize_with = "nullable")]
    pub use_rslora: bool,
    /// Ranks by pattern, in order.
    #[serde(default, deserialize_with = "nullable")]
    pub rank_pattern: IndexMap<String, usize>,
    /// `α` by pattern, in order.
    #[serde(default, deserialize_with = "nullable", serialize_with = "numbers")]
    pub alpha_pattern: IndexMap<String, f64>,
    /// Which modules carry factors.
    #[serde(default)]
    pub target_modules: Option<TargetModules>,
    /// Which modules are saved whole.
    #[serde(default)]
    pub modules_to_save: Option<Vec<String>>,
    /// Whether the base stores its weights as `[in, out]` (GPT-2's `Conv1D`); the factors are stored alike.
    #[serde(default, deserialize_with = "nullable")]
    pub fan_in_fan_out: bool,
    /// Whether every module has a magnitude (DoRA).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_dora: Option<bool>,
    /// Whether `B` has a bias in every module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora_bias: Option<bool>,
    /// What the adapted model is for.
    #[serde(default)]
    pub task_type: Option<String>,
    /// Name or path of the base model.
    #[serde(default)]
    pub base_model_name_or_path: Option<String>,
    /// Every other field, as it was.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

fn lora() -> String {
    "LORA".into()
}

/// PEFT writes `null` for some fields at their default.
fn nullable<'de, D, T>(d: D) -> std::result::Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

/// Whole numbers without a fraction, as PEFT writes them.
fn number<S: serde::Serializer>(value: &f64, s: S) -> std::result::Result<S::Ok, S::Error> {
    let whole = *value as i64;
    if whole as f64 == *value { s.serialize_i64(whole) } else { s.serialize_f64(*value) }
}

/// As [`number`], by pattern.
fn numbers<S>(values: &IndexMap<String, f64>, s: S) -> std::result::Result<S::Ok, S::Error>
where
    S: serde::Serializer,
{
    struct Number(f64);
    impl Serialize for Number {
        fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
            number(&self.0, s)
        }
    }
    s.collect_map(values.iter().map(|(key, &value)| (key, Number(value))))
}

/// Fields that change what an adapter computes and that this crate does not honour, with the reason.
const REFUSED: [(&str, &str); 12] = [
    ("bias", "trained biases of the base model would be lost"),
    ("use_qalora", "its pooled inputs are no plain low-rank update"),
    ("layer_replication", "replicated layers need the base model"),
    ("target_parameters", "factors of bare parameters are not read"),
    ("trainable_token_indices", "token updates are not read"),
    ("alora_invocation_tokens", "an adapter for a part of the input cannot be merged with others"),
    ("use_bdlora", "block-diagonal factors are not read"),
    ("arrow_config", "a router is no low-rank update"),
    ("kasa_config", "its singular values would be lost"),
    ("velora_config", "its factors are not read"),
    ("monteclora_config", "its distribution would be lost"),
    ("init_lora_weights", "this initialisation changes the base model too"),
];

/// Initialisations that leave the base model's weights alone.
const PLAIN_INITIALISATIONS: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// Whether a refused field is at a value that asks for nothing.
fn is_off(field: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => field == "init_lora_weights",
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(name) if field == "bias" => name == "none",
        Value::String(name) if field == "init_lora_weights" => PLAIN_INITIALISATIONS.contains(&name.as_str()),
        _ => false,
    }
}

impl AdapterConfig {
    /// A configuration of rank `r` with `α = r`, hence scale 1, as an output or for adapters made in memory.
    pub fn new(r: usize) -> Self {
        let other =
            [("bias", Value::from("none")), ("inference_mode", true.into()), ("lora_dropout", 0.0.into())];
        Self {
            peft_type: lora(),
            r,
            lora_alpha: r as f64,
            use_rslora: false,
            rank_pattern: IndexMap::new(),
            alpha_pattern: IndexMap::new(),
            target_modules: None,
            modules_to_save: None,
            fan_in_fan_out: false,
            use_dora: Some(false),
            lora_bias: Some(false),
            task_type: None,
            base_model_name_or_path: None,
            other: other.into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
        }
    }

    /// The configuration that says of these modules what they are, by full names; rsLoRA is folded into `α`.
    pub(crate) fn of_modules(modules: &[LoraModule]) -> Self {
        let largest = modules.iter().max_by(|x, y| x.rank.cmp(&y.rank).then(y.name.cmp(&x.name)));
        let mut config = Self::new(largest.map_or(1, |m| m.rank));
        config.set_modules(modules);
        config.target_modules = Some(TargetModules::Names(modules.iter().map(|m| m.name.clone()).collect()));
        config
    }

    /// Makes rank, `α`, their patterns and the switches say of these modules what they are.
    pub(crate) fn set_modules(&mut self, modules: &[LoraModule]) {
        let largest = modules.iter().max_by(|x, y| x.rank.cmp(&y.rank).then(y.name.cmp(&x.name)));
        self.r = largest.map_or(1, |m| m.rank);
        self.lora_alpha = largest.map_or(1.0, LoraModule::alpha);
        self.use_rslora = false;
        self.rank_pattern = by_full_name(modules, self.r, |m| m.rank);
        self.alpha_pattern = by_full_name(modules, self.lora_alpha, LoraModule::alpha);
        self.use_dora = Some(modules.iter().any(|m| m.has_magnitude));
        self.lora_bias = Some(modules.iter().any(|m| m.has_bias));
    }

    /// The configuration with every name changed.
    pub(crate) fn renamed(mut self, rename: impl Fn(&str) -> String) -> Self {
        self.rank_pattern = self.rank_pattern.into_iter().map(|(k, v)| (rename(&k), v)).collect();
        self.alpha_pattern = self.alpha_pattern.into_iter().map(|(k, v)| (rename(&k), v)).collect();
        let all = |names: Vec<String>| names.iter().map(|n| rename(n)).collect::<Vec<_>>();
        if let Some(TargetModules::Names(names)) = self.target_modules {
            self.target_modules = Some(TargetModules::Names(all(names)));
        }
        self.modules_to_save = self.modules_to_save.map(all);
        self
    }

    /// Parses the text of the configuration at `path` (which only names the file in errors).
    ///
    /// # Errors
    /// [`FileField`](grouping_core::Error::FileField) for text that is no LoRA configuration, [`Unsupported`](grouping_core::Error::Unsupported)
    /// for fields that are refused.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let config: Self = serde_json::from_str(text).map_err(|e| misfit(path, text, &e))?;
        if config.peft_type != "LORA" {
            return Err(Error::format(path, "peft_type", "LORA", &config.peft_type));
        }
        if config.r == 0 {
            return Err(Error::format(path, "r", "a rank of at least 1", 0));
        }
        if !config.lora_alpha.is_finite() {
            return Err(Error::format(path, "lora_alpha", "a finite number", config.lora_alpha));
        }
        for (field, reason) in REFUSED {
            let found = config.other.get(field).unwrap_or(&Value::Null);
            if !is_off(field, found) {
                return Err(Error::unsupported(path, field, found, reason));
            }
        }
        config.patterns(path)?;
        Ok(config)
    }

    /// The configuration's patterns, compiled.
    pub(crate) fn patterns(&self, path: &Path) -> Result<Patterns> {
        let compile = |field: &str, key: &str| {
            Regex::new(&format!(r"^(?:.*\.)?(?:{key})$"))
                .map_err(|_| Error::format(path, field, "regular expressions as keys", key))
        };
        let ranks = self.rank_pattern.iter().map(|(k, &v)| Ok((compile("rank_pattern", k)?, v)));
        let alphas = self.alpha_pattern.iter().map(|(k, &v)| Ok((compile("alpha_pattern", k)?, v)));
        Ok(Patterns {
            rank: (ranks.collect::<Result<_>>()?, self.r),
            alpha: (alphas.collect::<Result<_>>()?, self.lora_alpha),
            use_rslora: self.use_rslora,
        })
    }
}

/// The error of a text that is no configuration: the field at fault where there is one.
fn misfit(path: &Path, text: &str, error: &serde_json::Error) -> Error {
    fn fits<T: serde::de::DeserializeOwned>(value: &Value) -> bool {
        Option::<T>::deserialize(value).is_ok()
    }
    type Check = (&'static str, &'static str, fn(&Value) -> bool);
    const CHECKS: [Check; 13] = [
        ("r", "a whole number of at least 1", |v| usize::deserialize(v).is_ok()),
        ("lora_alpha", "a number", |v| f64::deserialize(v).is_ok()),
        ("peft_type", "LORA", |v| String::deserialize(v).is_ok()),
        ("use_rslora", "true or false", fits::<bool>),
        ("fan_in_fan_out", "true or false", fits::<bool>),
        ("use_dora", "true or false", fits::<bool>),
        ("lora_bias", "true or false", fits::<bool>),
        ("rank_pattern", "ranks by pattern", fits::<IndexMap<String, usize>>),
        ("alpha_pattern", "numbers by pattern", fits::<IndexMap<String, f64>>),
        ("target_modules", "names or a pattern", fits::<TargetModules>),
        ("modules_to_save", "names", fits::<Vec<String>>),
        ("task_type", "a name", fits::<String>),
        ("base_model_name_or_path", "a name", fits::<String>),
    ];
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
        return Error::format(path, "configuration", "a JSON object", error);
    };
    for (field, expected, fits) in CHECKS {
        match fields.get(field) {
            Some(value) if !fits(value) => return Error::format(path, field, expected, value),
            None if matches!(field, "r" | "lora_alpha") => {
                return Error::format(path, field, expected, "no such field");
            }
            _ => {}
        }
    }
    Error::format(path, "configuration", "a LoRA configuration of PEFT", error)
}

/// Compiled patterns: rank and scale of a module by its name.
pub(crate) struct Patterns {
    rank: (Vec<(Regex, usize)>, usize),
    alpha: (Vec<(Regex, f64)>, f64),
    use_rslora: bool,
}

impl Patterns {
    pub(crate) fn rank(&self, module: &str) -> usize {
        self.rank.0.iter().find(|(key, _)| key.is_match(module)).map_or(self.rank.1, |hit| hit.1)
    }

    pub(crate) fn scale(&self, module: &str) -> f64 {
        let alpha =
            self.alpha.0.iter().find(|(key, _)| key.is_match(module)).map_or(self.alpha.1, |hit| hit.1);
        let rank = self.rank(module) as f64;
        alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grouping_core::testing::assert_refused;

    fn parse(text: &str) -> Result<AdapterConfig> {
        AdapterConfig::parse(Path::new("x/adapter_config.json"), text)
    }

    #[test]
    fn the_first_matching_pattern_wins_in_file_order() {
        let text =
            r#"{"r": 4, "lora_alpha": 8, "rank_pattern": {"z.q": 2, "q": 16}, "alpha_pattern": {"k": 1}}"#;
        let patterns = parse(text).and_then(|c| c.patterns(Path::new("x"))).expect("valid");
        assert_eq!(patterns.rank("model.z.q"), 2, "the longer key stands first");
        assert_eq!(patterns.rank("model.y.q"), 16, "the suffix matches after a dot");
        assert_eq!(patterns.rank("model.y.xq"), 4, "a suffix inside a word does not match");
        assert_eq!(patterns.scale("model.k"), 0.25, "α by pattern over r");
        assert_eq!(patterns.scale("q"), 0.5, "α over the module's own rank");
    }

    #[test]
    fn rslora_scales_by_the_root() {
        let config = parse(r#"{"r": 16, "lora_alpha": 8, "use_rslora": true, "rank_pattern": null}"#);
        let patterns = config.and_then(|c| c.patterns(Path::new("x"))).expect("valid");
        assert_eq!(patterns.scale("any"), 2.0, "8 / √16");
    }

    #[test]
    fn what_merging_would_get_wrong_is_refused_by_name() {
        for field in ["layer_replication", "use_bdlora", "use_qalora"] {
            let error =
                parse(&format!(r#"{{"r": 4, "lora_alpha": 8, "{field}": true}}"#)).expect_err("refused");
            assert!(error.to_string().contains(field), "{error}");
        }
        assert_refused(parse(r#"{"r": 0, "lora_alpha": 8}"#), "`r`: expected a rank of at least 1");
        assert_refused(parse(r#"{"r": 4, "lora_alpha": 8, "peft_type": "IA3"}"#), "peft_type");
        assert_refused(parse(r#"{"r": 4, "lora_alpha": 8, "rank_pattern": {"(": 2}}"#), "rank_pattern");
        assert_refused(parse(r#"{"lora_alpha": 8}"#), ": `r`: expected");
    }
}
