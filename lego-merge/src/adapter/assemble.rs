//! Turns names of tensors into modules and checks these against the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::config::{AdapterConfig, Patterns, TargetModules};
use super::format::{COMPONENTS, KeySpelling, Meaning, Part, component};
use super::tensors::Tensors;
use super::{Adapter, LoraModule, ModuleKind};
use crate::{Error, Result};

/// Keys of one module's parts.
pub(super) type Keys = BTreeMap<Part, String>;

/// What declares ranks and scales beside the tensors.
pub(super) enum Declared {
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

/// What the names of the tensors say: keys of modules' parts, by full name, and names of whole tensors.
#[derive(Default)]
pub(super) struct Named {
    pub(super) modules: BTreeMap<String, Keys>,
    /// Modules whose factors are those of embeddings.
    pub(super) embeddings: BTreeSet<String>,
    pub(super) heads: Vec<String>,
}

impl Named {
    /// Files a key under its meaning.
    pub(super) fn add(
        &mut self,
        path: &Path,
        spelling: KeySpelling,
        key: &str,
        shape: &[usize],
    ) -> Result<()> {
        check_printable(path, key)?;
        let (module, part) = match spelling.meaning(key) {
            Meaning::Part(module, part) => (module, part),
            Meaning::OfEmbedding(module, part) => {
                self.embeddings.insert(module.clone());
                (module, part)
            }
            Meaning::Head(name) => {
                self.heads.push(name);
                return Ok(());
            }
            Meaning::Refused(reason) => {
                return Err(Error::unsupported(path, key, format!("a tensor of shape {shape:?}"), reason));
            }
        };
        match self.modules.entry(module.clone()).or_default().insert(part, key.into()) {
            None => Ok(()),
            Some(other) => {
                let expected = format!("one name for {part} of module {module}");
                Err(Error::format(path, key, expected, format!("`{other}` beside it")))
            }
        }
    }
}

/// Names are printed.
pub(super) fn check_printable(path: &Path, name: &str) -> Result<()> {
    if name.contains(char::is_control) {
        let expected = "a name without control characters";
        return Err(Error::format(path, name.escape_debug().to_string(), expected, "some"));
    }
    Ok(())
}

/// The adapter of a file at `label` (its path in messages); ranks and scales are declared in the file `declared_in`.
pub(super) fn assemble(
    label: &Path,
    declared_in: &Path,
    declared: Declared,
    tensors: Tensors,
) -> Result<Adapter> {
    let path = tensors.path().unwrap_or(label);
    let spelling = match declared {
        Declared::Config(_) => KeySpelling::Peft,
        Declared::Header(_) => KeySpelling::of(tensors.names()),
    };
    let mut named = Named::default();
    for key in tensors.names() {
        named.add(path, spelling, key, tensors.shape(key).unwrap_or_default())?;
    }
    build(label, declared_in, declared, spelling, named, tensors)
}

/// Checks modules against what is declared.
pub(super) fn build(
    label: &Path,
    declared_in: &Path,
    declared: Declared,
    spelling: KeySpelling,
    named: Named,
    tensors: Tensors,
) -> Result<Adapter> {
    let path = tensors.path().unwrap_or(label).to_path_buf();
    let Named { modules: found, embeddings, mut heads } = named;
    heads.sort();
    let rules = Rules::new(declared_in, &declared)?;
    let (mut modules, mut parts) = (vec![], vec![]);
    for (name, keys) in found {
        let is_embedding = embeddings.contains(&name);
        modules.push(module(&path, &tensors, &rules, name, &keys, is_embedding)?);
        parts.push(keys);
    }
    if modules.is_empty() {
        return Err(Error::format(&path, "tensors", "at least one module with both factors", "none"));
    }
    let (config, warnings) = match declared {
        Declared::Config(config) => {
            check_switches(&path, declared_in, &config, &modules)?;
            let warnings = warnings(&config, &modules, &heads);
            (*config, warnings)
        }
        Declared::Header(configs) => {
            let mut config = AdapterConfig::of_modules(&modules);
            let names = configs.values().map(|c| &c.base_model_name_or_path);
            config.base_model_name_or_path = names.flatten().next().cloned();
            (config, vec![])
        }
    };
    let (path, tensors) = (label.to_path_buf(), Arc::new(tensors));
    let is_pipeline = spelling != KeySpelling::Peft;
    Ok(Adapter { path, spelling, is_pipeline, config, modules, parts, heads, warnings, tensors })
}

/// Ranks and scales by what the file says.
struct Rules<'a> {
    declared_in: &'a Path,
    all: Option<Patterns>,
    by_component: BTreeMap<String, Patterns>,
}

impl<'a> Rules<'a> {
    fn new(declared_in: &'a Path, declared: &Declared) -> Result<Self> {
        let (mut all, mut by_component) = (None, BTreeMap::new());
        match declared {
            Declared::Config(config) => all = Some(config.patterns(declared_in)?),
            Declared::Header(configs) => {
                for (component, config) in configs {
                    by_component.insert(component.clone(), config.patterns(declared_in)?);
                }
            }
        }
        Ok(Self { declared_in, all, by_component })
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
    keys: &Keys,
    is_embedding: bool,
) -> Result<LoraModule> {
    let factor = |part: Part| {
        let missing = || {
            Error::format(path, format!("{name}.lora_{part}.weight"), "both factors of the module", "none")
        };
        keys.get(&part).ok_or_else(missing)
    };
    let (key_a, key_b) = (factor(Part::A)?, factor(Part::B)?);
    let shape = |key: &str| tensors.shape(key).unwrap_or_default().to_vec();
    let (a, b) = (shape(key_a), shape(key_b));
    let kind = if is_embedding { Some(ModuleKind::Embedding) } else { kind(&a) };
    let axes = if is_embedding { 2..=2 } else { 2..=5 };
    let (Some(kind), true) = (kind, axes.contains(&a.len())) else {
        let expected = "two axes (a linear layer), or up to three more (a convolution)";
        return Err(Error::format(path, key_a, expected, format!("shape {a:?}")));
    };
    let (rank, n_inputs) = (a[0], a[1..].iter().try_fold(1usize, |n, &len| n.checked_mul(len)));
    if b.len() < 2 || b.len() > a.len().max(2) || b[2..].iter().any(|&len| len != 1) {
        let expected = "shape [d_out, r] or [d_out, r, 1, …]";
        return Err(Error::format(path, key_b, expected, format!("shape {b:?}")));
    }
    let (n_outputs, rank_b) = (b[0], b[1]);
    let field = || format!("rank of module {name}");
    let Some(n_inputs) = n_inputs.filter(|n| rank > 0 && *n > 0 && n_outputs > 0) else {
        return Err(Error::format(path, field(), "at least 1", format!("shapes {a:?} and {b:?}")));
    };
    if rank != rank_b {
        let expected = format!("{rank} as `{key_a}` has");
        return Err(Error::format(path, field(), expected, format!("{rank_b} in `{key_b}`")));
    }
    let by_rule = rules.of(&name).map(|(patterns, name)| (patterns.rank(name), patterns.scale(name)));
    if let Some((want, _)) = by_rule.filter(|(want, _)| *want != rank) {
        let expected = format!("{want} as {} says", rules.declared_in.display());
        return Err(Error::format(path, field(), expected, format!("{rank} in the tensors")));
    }
    let alpha = keys.get(&Part::Alpha);
    let by_tensor = alpha.map(|key| tensors.scalar(path, key)).transpose()?.map(|alpha| alpha / rank as f64);
    let scale = match (by_rule, by_tensor) {
        (Some((_, wanted)), Some(found)) if (wanted - found).abs() > 1e-3 * wanted.abs() => {
            let expected = format!("a scale of {wanted} as {} says", rules.declared_in.display());
            return Err(Error::format(path, alpha.cloned().unwrap_or_default(), expected, found));
        }
        (Some((_, wanted)), _) => wanted,
        (None, Some(found)) => found,
        (None, None) => 1.0,
    };
    for key in [Part::Bias, Part::Magnitude].iter().filter_map(|part| keys.get(part)) {
        let shape = shape(key);
        // [d_out], or with axes of length 1 around it; a magnitude along the inputs is another method.
        let along_outputs = shape.first() == Some(&n_outputs) || shape.get(..2) == Some(&[1, n_outputs]);
        if shape.iter().product::<usize>() != n_outputs || !along_outputs {
            let expected = format!("{n_outputs} values, one an output");
            return Err(Error::format(path, key, expected, format!("shape {shape:?}")));
        }
    }
    let [has_bias, has_magnitude] = [Part::Bias, Part::Magnitude].map(|part| keys.contains_key(&part));
    Ok(LoraModule { name, kind, rank, n_inputs, n_outputs, scale, has_bias, has_magnitude })
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
fn check_switches(
    path: &Path,
    declared_in: &Path,
    config: &AdapterConfig,
    modules: &[LoraModule],
) -> Result<()> {
    let dora = (config.use_dora == Some(true), "use_dora", ".lora_magnitude_vector");
    let bias = (config.lora_bias == Some(true), "lora_bias", ".lora_B.bias");
    for module in modules {
        let has_no_bias = module.kind == ModuleKind::Embedding;
        for ((declared, field, suffix), found) in [(dora, module.has_magnitude), (bias, module.has_bias)] {
            if declared != found && !(field == "lora_bias" && has_no_bias) {
                let expected =
                    format!("{} as {field} = {declared} in {} says", words(declared), declared_in.display());
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
