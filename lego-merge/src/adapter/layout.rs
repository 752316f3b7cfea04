//! What an output file holds: keys, shapes and types of all tensors in the wanted format, and its header and configuration.

use std::collections::{BTreeMap, HashMap};

use grouping_core::files::tensor_file::{Dtype, Planned};
use serde_json::{Map, Value};

use super::assemble::{DIFFUSERS_METADATA, common_component};
use super::format::{Components, Format, KeySpelling, Part, component, diffusers, kohya, peft};
use super::open::CONFIG_METADATA;
use super::write::Construction;
use super::{Adapter, AdapterConfig, LoraModule, Output};
use crate::{Error, Result};

const PARTS: [Part; 5] = [Part::A, Part::B, Part::Bias, Part::Magnitude, Part::Alpha];

/// Names of the tensors that hold the parts of modules.
type TensorNames = HashMap<(String, Part), String>;

/// An adapter that will be written, but for its values.
pub(crate) struct Outline<'a> {
    /// The adapter whose spelling is followed, where its format is wanted.
    pub(crate) first: &'a Adapter,
    /// All modules, by name.
    pub(crate) modules: Vec<LoraModule>,
    /// Names and shapes of the tensors that are carried whole.
    pub(crate) heads: Vec<(String, Vec<usize>)>,
    /// The configuration, by full names.
    pub(crate) config: AdapterConfig,
    /// Whether names begin with components of a pipeline.
    pub(crate) is_pipeline: bool,
    /// Types of parts of modules.
    pub(crate) part_type: &'a (dyn Fn(&str, Part) -> Dtype + Sync),
    /// Types of heads.
    pub(crate) head_type: &'a (dyn Fn(&str) -> Dtype + Sync),
}

/// An adapter under construction; its tensors may be written in any order, from any thread.
pub(crate) struct AdapterWriter {
    construction: Construction,
    keys: TensorNames,
    scales: HashMap<String, f64>,
    config: Option<AdapterConfig>,
}

impl AdapterWriter {
    /// Starts the output: everything but the values.
    ///
    /// # Errors
    /// [`Error::Core`] for an output that is there or cannot be written, or a folder in a format without one, and
    /// [`grouping_core::Error::Unsupported`] for what the format has no place for.
    pub(crate) fn create(output: &Output, outline: &Outline<'_>) -> Result<Self> {
        let format = output.resolve(outline.first.format())?;
        let spelling = match format {
            _ if format == outline.first.format() => outline.first.spelling,
            Format::Peft => KeySpelling::Peft,
            Format::Diffusers => KeySpelling::Diffusers(diffusers::Style::NEWEST),
            Format::Kohya => KeySpelling::Kohya,
        };
        let layout = Layout { output, outline, spelling };
        layout.check()?;
        let (keys, mut tensors) = layout.parts()?;
        for (name, shape) in &outline.heads {
            let (name, dtype) = (format!("{}{name}", peft::PREFIX), (outline.head_type)(name));
            tensors.push(Planned { name, shape: shape.clone(), dtype });
        }
        let config = (format == Format::Peft).then(|| layout.peft_config());
        let metadata = layout.metadata(config.as_ref())?;
        let construction = Construction::begin(output, &tensors, metadata)?;
        // A file of diffusers may be read by loaders that look at no scale, so that its scale is 1.
        let folds = format == Format::Diffusers;
        let scales = outline.modules.iter().filter(|m| folds && m.scale != 1.0);
        let scales = scales.map(|m| (m.name.clone(), m.scale)).collect();
        let config = config.filter(|_| !output.is_file());
        let writer = Self { construction, keys, scales, config };
        for module in outline.modules.iter().filter(|_| format == Format::Kohya) {
            writer.part(&module.name, Part::Alpha, &[module.alpha() as f32])?;
        }
        Ok(writer)
    }

    /// Writes one part of a module, row-major.
    ///
    /// # Errors
    /// [`Error::Core`] for values that do not fit the shape or overflow the type, and from the system.
    pub(crate) fn part(&self, module: &str, part: Part, values: &[f32]) -> Result<()> {
        let missing =
            || Error::format(self.construction.place(), module, "a part that was announced", "another");
        let key = self.keys.get(&(module.to_string(), part)).ok_or_else(missing)?;
        match self.scales.get(module).filter(|_| matches!(part, Part::B | Part::Bias)) {
            Some(&scale) => {
                let scaled: Vec<f32> = values.iter().map(|&v| (scale * f64::from(v)) as f32).collect();
                self.construction.write(key, &scaled)
            }
            None => self.construction.write(key, values),
        }
    }

    /// Writes a tensor that is carried whole.
    ///
    /// # Errors
    /// As [`AdapterWriter::part`].
    pub(crate) fn head(&self, name: &str, values: &[f32]) -> Result<()> {
        self.construction.write(&format!("{}{name}", peft::PREFIX), values)
    }

    /// Puts the output in its place.
    ///
    /// # Errors
    /// [`Error::Core`] when the place was taken meanwhile, and from the system.
    pub(crate) fn finish(self) -> Result<()> {
        self.construction.finish(self.config.as_ref())
    }
}

struct Layout<'a> {
    output: &'a Output,
    outline: &'a Outline<'a>,
    spelling: KeySpelling,
}

impl Layout<'_> {
    fn refuse(&self, field: impl Into<String>, found: impl ToString, reason: &'static str) -> Error {
        Error::unsupported(self.output.path(), field, found, reason)
    }

    /// What the format has no place for is refused by name.
    fn check(&self) -> Result<()> {
        let peft = self.spelling.format() == Format::Peft;
        let folded = self.outline.modules.iter().find(|m| kohya::is_folded(&m.name));
        if let (Some(module), true) = (folded, self.spelling != KeySpelling::Kohya) {
            let reason = "which module of the base model this name with underscores means is not known";
            return Err(self.refuse(format!("module {}", module.name), self.spelling.format(), reason));
        }
        if let (Some((head, shape)), false) = (self.outline.heads.first(), peft) {
            let reason = "only the format peft has a place for whole tensors";
            return Err(self.refuse(head, format!("a tensor of shape {shape:?}"), reason));
        }
        if self.outline.config.fan_in_fan_out && !peft {
            return Err(self.refuse("fan_in_fan_out", true, "only the format peft can say so"));
        }
        Ok(())
    }

    /// Keys of all parts, and what to announce of them.
    fn parts(&self) -> Result<(TensorNames, Vec<Planned>)> {
        let several = self.outline.modules.iter().any(|m| m.name.starts_with("text_encoder_2."));
        let components = if several { Components::SeveralEncoders } else { Components::OneEncoder };
        let stripped = self.component();
        let (mut keys, mut tensors) = (HashMap::new(), vec![]);
        for module in &self.outline.modules {
            for part in PARTS {
                let wanted = match part {
                    Part::A | Part::B => true,
                    Part::Bias => module.has_bias,
                    Part::Magnitude => module.has_magnitude,
                    Part::Alpha => self.spelling == KeySpelling::Kohya,
                };
                if !wanted {
                    continue;
                }
                let example = self.example(module, part);
                let mut named = module.clone();
                if let Some(component) = stripped {
                    named.name = named.name[component.len() + 1..].to_string();
                }
                let key =
                    example.or_else(|| self.spelling.key(&named, part, components)).ok_or_else(|| {
                        let reason = "the output's format has no place for it";
                        self.refuse(format!("module {}", module.name), what(module, part), reason)
                    })?;
                let dtype = match part {
                    Part::Alpha => Dtype::F32,
                    _ => (self.outline.part_type)(&module.name, part),
                };
                let shape = self.spelling.shape(module, part);
                tensors.push(Planned { name: key.clone(), shape, dtype });
                keys.insert((module.name.clone(), part), key);
            }
        }
        Ok((keys, tensors))
    }

    /// The key that the first adapter has for the part, or would have beside those that it has.
    fn example(&self, module: &LoraModule, part: Part) -> Option<String> {
        let first = self.outline.first;
        if first.spelling != self.spelling || self.spelling == KeySpelling::Peft {
            return None;
        }
        let parts = &first.parts[first.position(&module.name)?];
        let stem = || parts.get(&Part::A)?.strip_suffix(".lora_down.weight");
        let own = parts.get(&part).cloned();
        match part {
            Part::Alpha => own.or_else(|| Some(format!("{}.alpha", stem()?))),
            Part::Magnitude => own.or_else(|| Some(format!("{}.dora_scale", stem()?))),
            _ => own,
        }
    }

    /// The component that a PEFT output leaves out: a folder is loaded into one model of a pipeline.
    fn component(&self) -> Option<&'static str> {
        let peft = self.spelling == KeySpelling::Peft && self.outline.is_pipeline;
        peft.then(|| common_component(self.outline.modules.iter().map(|m| m.name.as_str()))).flatten()
    }

    fn peft_config(&self) -> AdapterConfig {
        let config = self.outline.config.clone();
        match self.component() {
            None => config,
            Some(component) => config.renamed(|name| match name.strip_prefix(component) {
                Some(rest) => rest.strip_prefix('.').unwrap_or(name).to_string(),
                None => name.to_string(),
            }),
        }
    }

    fn metadata(&self, config: Option<&AdapterConfig>) -> Result<BTreeMap<String, String>> {
        let mut out = BTreeMap::from([("format".to_string(), "pt".to_string())]);
        let misfit = |e| Error::format(self.output.path(), "configuration", "values that JSON can hold", e);
        match self.spelling.format() {
            Format::Peft => {
                if let (Some(config), true) = (config, self.output.is_file()) {
                    out.insert(CONFIG_METADATA.into(), serde_json::to_string(config).map_err(misfit)?);
                }
            }
            Format::Diffusers => {
                let text = serde_json::to_string(&self.by_component().map_err(misfit)?).map_err(misfit)?;
                out.insert(DIFFUSERS_METADATA.into(), text);
            }
            Format::Kohya => {
                let same = |value: fn(&LoraModule) -> f64| {
                    let mut values = self.outline.modules.iter().map(value);
                    let first = values.next().unwrap_or_default();
                    if values.all(|v| v == first) { first.to_string() } else { "Dynamic".into() }
                };
                out.insert("ss_network_module".into(), "networks.lora".into());
                out.insert("ss_network_dim".into(), same(|m| m.rank as f64));
                out.insert("ss_network_alpha".into(), same(LoraModule::alpha));
            }
        }
        Ok(out)
    }

    /// A configuration a component, its fields under `COMPONENT.`, as diffusers writes them.
    fn by_component(&self) -> serde_json::Result<Map<String, Value>> {
        let mut groups = BTreeMap::<String, Vec<LoraModule>>::new();
        for module in &self.outline.modules {
            let name = diffusers::with_component(&module.name);
            let (first, rest) = component(&name).unwrap_or(("", &name));
            let module = LoraModule { name: rest.into(), scale: 1.0, ..module.clone() };
            groups.entry(first.into()).or_default().push(module);
        }
        let mut fields = Map::new();
        for (first, modules) in groups {
            let config = serde_json::to_value(AdapterConfig::of_modules(&modules))?;
            for (field, value) in config.as_object().into_iter().flatten().filter(|(_, v)| !v.is_null()) {
                let field = if first.is_empty() { field.clone() } else { format!("{first}.{field}") };
                fields.insert(field, value.clone());
            }
        }
        Ok(fields)
    }
}

fn what(module: &LoraModule, part: Part) -> String {
    match part {
        Part::Bias => "a bias of lora_B".into(),
        Part::Magnitude => "a magnitude of DoRA".into(),
        _ => format!("factors of kind {}", module.kind),
    }
}
