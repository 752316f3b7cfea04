//! From the tensors of a file to an adapter: every key has a meaning, every module its parts, and what is said of them holds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::config::{AdapterConfig, Patterns, TargetModules};
use super::format::{COMPONENTS, Meaning, Part, Spelling, component};
use super::tensors::Tensors;
use super::{Adapter, LoraModule, ModuleKind};
use crate::{Error, Result};

/// Keys of one module's parts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    pub(crate) a: String,
    pub(crate) b: String,
    pub(crate) bias: Option<String>,
    pub(crate) magnitude: Option<String>,
    pub(crate) alpha: Option<String>,
}

impl Parts {
    pub(crate) fn key(&self, part: Part) -> Option<&str> {
        match part {
            Part::A => Some(&self.a),
            Part::B => Some(&self.b),
            Part::Bias => self.bias.as_deref(),
            Part::Magnitude => self.magnitude.as_deref(),
            Part::Alpha => self.alpha.as_deref(),
        }
    }
}

/// What a file says of ranks and scales beside its tensors.
pub(super) enum Said {
    /// A configuration of PEFT, which holds for all modules.
    Config(Box<AdapterConfig>),
    /// The header's, one a component of a pipeline.
    Header(BTreeMap<String, AdapterConfig>),
}

/// Name of the header's entry in which diffusers keeps configurations.
pub(super) const DIFFUSERS_METADATA: &str = "lora_adapter_metadata";

/// The configurations in a header of diffusers: `{"unet.r": 4, "unet.lora_alpha": 8, …}`.
pub(super) fn header_configs(path: &Path, tensors: &Tensors) -> Result<BTreeMap<String, AdapterConfig>> {
    let metadata = tensors.metadata();
    let Some(text) = metadata.get(DIFFUSERS_METADATA) else { return Ok(BTreeMap::new()) };
    let misfit = |e: &dyn std::fmt::Display| {
        Error::format(path, DIFFUSERS_METADATA, "configurations of LoRA by component", e)
    };
    let fields: Map<String, Value> = serde_json::from_str(text).map_err(|e| misfit(&e))?;
    let mut by_component = BTreeMap::<String, Map<String, Value>>::new();
    for (name, value) in fields {
        let (part, field) = name.split_once('.').unwrap_or(("", &name));
        by_component.entry(part.into()).or_default().insert(field.into(), value);
    }
    let parse = |(component, fields): (String, Map<String, Value>)| {
        let label = path.join(DIFFUSERS_METADATA).join(&component);
        Ok((component, AdapterConfig::parse(&label, &Value::Object(fields).to_string())?))
    };
    by_component.into_iter().map(parse).collect()
}

#[derive(Default)]
struct Found {
    keys: BTreeMap<&'static str, String>,
    embedding: bool,
}

fn slot(part: Part) -> &'static str {
    match part {
        Part::A => "A",
        Part::B => "B",
        Part::Bias => "bias",
        Part::Magnitude => "magnitude",
        Part::Alpha => "alpha",
    }
}

/// Builds the adapter at `label` (its path in messages). `said_in` names what says ranks and scales.
pub(super) fn assemble(label: &Path, said_in: &Path, said: Said, tensors: Tensors) -> Result<Adapter> {
    let path = tensors.path().unwrap_or(label).to_path_buf();
    let spelling = match said {
        Said::Config(_) => Spelling::Peft,
        Said::Header(_) => Spelling::of(tensors.names()),
    };
    let (mut found, mut heads) = (BTreeMap::<String, Found>::new(), vec![]);
    for key in tensors.names() {
        // Names are printed.
        if key.contains(char::is_control) {
            let expected = "a name without control characters";
            return Err(Error::format(&path, key.escape_debug().to_string(), expected, "some"));
        }
        let (module, part, embedding) = match spelling.meaning(key) {
            Meaning::Part(module, part) => (module, part, false),
            Meaning::OfEmbedding(module, part) => (module, part, true),
            Meaning::Head(name) => {
                heads.push(name);
                continue;
            }
            Meaning::Refused(reason) => {
                let found = format!("a tensor of shape {:?}", tensors.shape(key).unwrap_or_default());
                return Err(Error::Unsupported { path, field: key.into(), found, reason });
            }
        };
        let entry = found.entry(module.clone()).or_default();
        if let Some(other) = entry.keys.insert(slot(part), key.into()) {
            let expected = format!("one name for {} of module {module}", slot(part));
            return Err(Error::format(&path, key, expected, format!("`{other}` beside it")));
        }
        entry.embedding |= embedding;
    }
    heads.sort();
    let rules = Rules::new(said_in, &said)?;
    let (mut modules, mut parts) = (vec![], vec![]);
    for (name, found) in found {
        let (module, keys) = module(&path, &tensors, &rules, name, found)?;
        modules.push(module);
        parts.push(keys);
    }
    if modules.is_empty() {
        return Err(Error::format(&path, "tensors", "at least one module with both factors", "none"));
    }
    let (config, warnings) = match said {
        Said::Config(config) => {
            check_switches(&path, said_in, &config, &modules)?;
            let warnings = warnings(&config, &modules, &heads);
            (*config, warnings)
        }
        Said::Header(configs) => {
            let mut config = AdapterConfig::of_modules(&modules);
            let names = configs.values().map(|c| &c.base_model_name_or_path);
            config.base_model_name_or_path = names.flatten().next().cloned();
            (config, vec![])
        }
    };
    let (path, tensors) = (label.to_path_buf(), Arc::new(tensors));
    let is_pipeline = spelling != Spelling::Peft;
    Ok(Adapter { path, spelling, is_pipeline, config, modules, parts, heads, warnings, tensors })
}

/// Ranks and scales by what the file says.
struct Rules<'a> {
    said_in: &'a Path,
    all: Option<Patterns>,
    by_component: BTreeMap<String, Patterns>,
}

impl<'a> Rules<'a> {
    fn new(said_in: &'a Path, said: &Said) -> Result<Self> {
        let (mut all, mut by_component) = (None, BTreeMap::new());
        match said {
            Said::Config(config) => all = Some(config.patterns(said_in)?),
            Said::Header(configs) => {
                for (component, config) in configs {
                    by_component.insert(component.clone(), config.patterns(said_in)?);
                }
            }
        }
        Ok(Self { said_in, all, by_component })
    }

    /// The patterns that hold for a module, and the module's name as they know it.
    fn of<'m>(&self, module: &'m str) -> Option<(&Patterns, &'m str)> {
        if let Some(all) = &self.all {
            return Some((all, module));
        }
        let (first, rest) = component(module).unwrap_or(("", module));
        Some((self.by_component.get(first)?, rest))
    }
}

fn module(
    path: &Path,
    tensors: &Tensors,
    rules: &Rules<'_>,
    name: String,
    mut found: Found,
) -> Result<(LoraModule, Parts)> {
    let mut take = |side: &str| found.keys.remove(side);
    let missing = |side: &str| {
        Error::format(path, format!("{name}.lora_{side}.weight"), "both factors of the module", "none")
    };
    let keys = Parts {
        a: take("A").ok_or_else(|| missing("A"))?,
        b: take("B").ok_or_else(|| missing("B"))?,
        bias: take("bias"),
        magnitude: take("magnitude"),
        alpha: take("alpha"),
    };
    let shape = |key: &str| tensors.shape(key).unwrap_or_default().to_vec();
    let (a, b) = (shape(&keys.a), shape(&keys.b));
    let kind = if found.embedding { Some(ModuleKind::Embedding) } else { kind(&a) };
    let axes = if found.embedding { 2..=2 } else { 2..=5 };
    let (Some(kind), true) = (kind, axes.contains(&a.len())) else {
        let expected = "two axes (a linear layer), or up to three more (a convolution)";
        return Err(Error::format(path, &keys.a, expected, format!("shape {a:?}")));
    };
    let (rank, n_inputs) = (a[0], a[1..].iter().try_fold(1usize, |n, &len| n.checked_mul(len)));
    if b.len() < 2 || b.len() > a.len().max(2) || b[2..].iter().any(|&len| len != 1) {
        let expected = "shape [d_out, r] or [d_out, r, 1, …]";
        return Err(Error::format(path, &keys.b, expected, format!("shape {b:?}")));
    }
    let (n_outputs, rank_b) = (b[0], b[1]);
    let field = || format!("rank of module {name}");
    let Some(n_inputs) = n_inputs.filter(|n| rank > 0 && *n > 0 && n_outputs > 0) else {
        return Err(Error::format(path, field(), "at least 1", format!("shapes {a:?} and {b:?}")));
    };
    if rank != rank_b {
        let expected = format!("{rank} as `{}` has", keys.a);
        return Err(Error::format(path, field(), expected, format!("{rank_b} in `{}`", keys.b)));
    }
    let by_rule = rules.of(&name).map(|(patterns, name)| (patterns.rank(name), patterns.scale(name)));
    if let Some((want, _)) = by_rule.filter(|(want, _)| *want != rank) {
        let expected = format!("{want} as {} says", rules.said_in.display());
        return Err(Error::format(path, field(), expected, format!("{rank} in the tensors")));
    }
    let by_tensor = keys
        .alpha
        .as_ref()
        .map(|key| tensors.scalar(path, key))
        .transpose()?
        .map(|alpha| alpha / rank as f64);
    let scale = match (by_rule, by_tensor) {
        (Some((_, said)), Some(found)) if (said - found).abs() > 1e-3 * said.abs() => {
            let expected = format!("a scale of {said} as {} says", rules.said_in.display());
            return Err(Error::format(path, keys.alpha.unwrap_or_default(), expected, found));
        }
        (Some((_, said)), _) => said,
        (None, Some(found)) => found,
        (None, None) => 1.0,
    };
    for key in [&keys.bias, &keys.magnitude].into_iter().flatten() {
        let shape = shape(key);
        // [d_out], or with axes of length 1 around it; a magnitude along the inputs is another method.
        let along_outputs = shape.first() == Some(&n_outputs) || shape.get(..2) == Some(&[1, n_outputs]);
        if shape.iter().product::<usize>() != n_outputs || !along_outputs {
            let expected = format!("{n_outputs} values, one an output");
            return Err(Error::format(path, key, expected, format!("shape {shape:?}")));
        }
    }
    let (has_bias, has_magnitude) = (keys.bias.is_some(), keys.magnitude.is_some());
    let module = LoraModule { name, kind, rank, n_inputs, n_outputs, scale, has_bias, has_magnitude };
    Ok((module, keys))
}

/// The kind that a shape of `A` gives away.
fn kind(a: &[usize]) -> Option<ModuleKind> {
    match a.len() {
        2 => Some(ModuleKind::Linear),
        3..=5 => Some(ModuleKind::Conv { kernel: a[2..].to_vec() }),
        _ => None,
    }
}

/// Magnitudes and biases must be there exactly where the configuration says so.
fn check_switches(path: &Path, said_in: &Path, config: &AdapterConfig, modules: &[LoraModule]) -> Result<()> {
    let dora = (config.use_dora == Some(true), "use_dora", ".lora_magnitude_vector");
    let bias = (config.lora_bias == Some(true), "lora_bias", ".lora_B.bias");
    for module in modules {
        let has_no_bias = module.kind == ModuleKind::Embedding;
        for ((said, field, suffix), found) in [(dora, module.has_magnitude), (bias, module.has_bias)] {
            if said != found && !(field == "lora_bias" && has_no_bias) {
                let expected = format!("{} as {field} = {said} in {} says", words(said), said_in.display());
                return Err(Error::format(path, format!("{}{suffix}", module.name), expected, words(found)));
            }
        }
    }
    Ok(())
}

fn words(there: bool) -> &'static str {
    if there { "a tensor" } else { "none" }
}

/// Lists of names that differ from the file: the file is followed.
fn warnings(config: &AdapterConfig, modules: &[LoraModule], heads: &[String]) -> Vec<String> {
    let mut out = vec![];
    if let Some(TargetModules::Names(names)) = &config.target_modules {
        for name in names.iter().filter(|n| !modules.iter().any(|m| targets(n, &m.name))) {
            out.push(format!("target_modules lists `{name}`, which the file does not hold"));
        }
        let hit = |m: &LoraModule| names.iter().any(|n| targets(n, &m.name));
        if let Some(module) = modules.iter().find(|m| !hit(m)) {
            out.push(format!("the file holds `{}`, which target_modules does not list", module.name));
        }
    }
    let saved = config.modules_to_save.as_deref().unwrap_or_default();
    for name in saved.iter().filter(|n| !heads.iter().any(|h| in_module(n, h))) {
        out.push(format!("modules_to_save lists `{name}`, which the file does not hold"));
    }
    let unlisted: BTreeSet<&str> = heads
        .iter()
        .filter(|h| !saved.iter().any(|n| in_module(n, h)) && !is_of_base(h))
        .map(|h| h.rsplit_once('.').map_or(h.as_str(), |(module, _)| module))
        .collect();
    for module in unlisted {
        out.push(format!("the file holds `{module}`, which modules_to_save does not list"));
    }
    out
}

/// Whether a whole tensor is the base's own weight below an adapted module, which PEFT saves beside the factors.
pub(crate) fn is_of_base(head: &str) -> bool {
    head.ends_with(".base_layer.weight")
}

/// PEFT's rule for `target_modules`: the whole name, or its end after a dot.
pub(crate) fn targets(target: &str, module: &str) -> bool {
    module == target || module.strip_suffix(target).is_some_and(|rest| rest.ends_with('.'))
}

/// Whether the tensor `head` lies in a module whose name ends with `module`.
pub(crate) fn in_module(module: &str, head: &str) -> bool {
    let parents = head.match_indices('.').map(|(i, _)| &head[..i]);
    parents.into_iter().any(|parent| targets(module, parent))
}

/// The one component that all names begin with, if there is one.
pub(crate) fn common_component<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    let (first, _) = component(names.next()?)?;
    let first = COMPONENTS.into_iter().find(|c| *c == first)?;
    names.all(|name| component(name).is_some_and(|(c, _)| c == first)).then_some(first)
}
