//! LoRA adapters: PEFT folders, files of diffusers and kohya, in and out, or made in memory.
//!
//! A module's update is `ΔW = s·B·A` with `A [r, d_in]` and `B [d_out, r]`. Factors stay in the file until a module
//! is asked for, so that reading many adapters needs the memory of one module.

mod align;
mod assemble;
mod config;
mod convert;
mod format;
mod layout;
mod module;
mod open;
mod output;
mod pattern_keys;
mod tensors;
mod write;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grouping_core::files::output::Existing;
use grouping_core::files::tensor_file::{self, Dtype};
use grouping_core::matrix::Matrix;
use indexmap::IndexMap;

pub use config::{AdapterConfig, CONFIG_FILE, TargetModules};
pub use convert::convert;
pub use format::Format;
pub use grouping_core::files::tensor_file::Tensor;
pub use module::{Factors, LoraModule, ModuleKind, ModuleTensors};
pub use output::{Output, OutputType};

pub(crate) use align::aligned;
pub(crate) use assemble::{in_module, is_of_base, targets};
pub(crate) use format::Part;
pub(crate) use layout::{AdapterWriter, Outline};
pub(crate) use tensors::Tensors;

use crate::{Error, Result};
use assemble::{Declared, Keys, Named, check_printable};
use format::{KeySpelling, peft};

/// Name of the tensors' file in a PEFT folder.
pub const TENSOR_FILE: &str = "adapter_model.safetensors";

/// An adapter: its configuration, its modules, and the tensors that it carries whole (heads). A clone shares the file.
#[derive(Debug, Clone)]
pub struct Adapter {
    path: PathBuf,
    spelling: KeySpelling,
    /// Whether names begin with components of a pipeline.
    is_pipeline: bool,
    config: AdapterConfig,
    modules: Vec<LoraModule>,
    parts: Vec<Keys>,
    heads: Vec<String>,
    warnings: Vec<String>,
    tensors: Arc<Tensors>,
}

/// Names of the tensors in the bytes of a safetensors file, or of one that `torch.save` wrote.
///
/// # Errors
/// [`Error::Core`], as [`Adapter::read`].
pub fn tensor_names(file: &[u8]) -> Result<Vec<String>> {
    Ok(tensor_file::names(file)?)
}

impl Adapter {
    /// Opens an adapter: a PEFT folder, or a single file of diffusers, kohya or PEFT, in safetensors or written by
    /// `torch.save` (which is read without running anything).
    ///
    /// # Errors
    /// [`Error::Core`] with [`Io`](grouping_core::Error::Io) for files that cannot be read, [`FileField`](grouping_core::Error::FileField)
    /// where they are damaged or configuration and tensors disagree, [`Unsupported`](grouping_core::Error::Unsupported) for what merging
    /// would silently get wrong.
    ///
    /// ```
    /// use grouping_core::matrix::Matrix;
    /// use lego_merge::adapter::{Adapter, AdapterConfig};
    ///
    /// let folder = tempfile::tempdir().expect("a folder");
    /// let place = folder.path().join("adapter");
    /// let (a, b) = (Matrix::from_fn(2, 3, |_, _| 1.0), Matrix::from_fn(4, 2, |_, _| 0.5));
    /// Adapter::from_factors("made", AdapterConfig::new(2), [("layer.q".to_string(), a, b)])?.write(&place, false)?;
    /// let adapter = Adapter::read(&place)?;
    /// let module = &adapter.modules()[0];
    /// assert_eq!((module.rank, module.n_outputs, module.n_inputs), (2, 4, 3));
    /// # Ok::<(), lego_merge::Error>(())
    /// ```
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        open::open(path.as_ref())
    }

    /// An adapter from factors of linear layers in memory, by full module name; `label` stands for its path in
    /// messages. Ranks and scales are taken from the factors and must agree with the configuration.
    ///
    /// # Errors
    /// [`Error::Core`] where factors and configuration disagree.
    pub fn from_factors(
        label: &str,
        config: AdapterConfig,
        factors: impl IntoIterator<Item = (String, Matrix, Matrix)>,
    ) -> Result<Self> {
        Self::from_parts(label, config, factors, [])
    }

    /// As [`Adapter::from_factors`], with tensors to be carried whole, by name.
    ///
    /// # Errors
    /// [`Error::Core`] where factors and configuration disagree.
    pub fn from_parts(
        label: &str,
        config: AdapterConfig,
        factors: impl IntoIterator<Item = (String, Matrix, Matrix)>,
        heads: impl IntoIterator<Item = (String, Tensor)>,
    ) -> Result<Self> {
        let linear = |(name, a, b)| ModuleTensors { name, kind: ModuleKind::Linear, a, b, bias: None };
        Self::from_modules(label, config, factors.into_iter().map(linear), heads)
    }

    /// As [`Adapter::from_parts`], with modules of any kind.
    ///
    /// # Errors
    /// [`Error::Core`] where modules and configuration disagree.
    pub fn from_modules(
        label: &str,
        config: AdapterConfig,
        modules: impl IntoIterator<Item = ModuleTensors>,
        heads: impl IntoIterator<Item = (String, Tensor)>,
    ) -> Result<Self> {
        Self::in_memory(Path::new(label), KeySpelling::Peft, config, modules, heads, peft::key)
    }

    /// An adapter in memory; `key` names the tensors in its spelling.
    fn in_memory(
        label: &Path,
        spelling: KeySpelling,
        config: AdapterConfig,
        modules: impl IntoIterator<Item = ModuleTensors>,
        heads: impl IntoIterator<Item = (String, Tensor)>,
        key: impl Fn(&LoraModule, Part) -> Option<String>,
    ) -> Result<Self> {
        let (mut named, mut tensors) = (Named::default(), IndexMap::new());
        for ModuleTensors { name, kind, a, b, bias } in modules {
            check_printable(label, &name)?;
            let shape = [b.n_rows(), a.n_cols()];
            let module = LoraModule::of_scale_one(name, kind, a.n_rows(), shape, bias.is_some());
            // The shape of `B` follows its own rank, so that one that differs from that of `A` is found.
            let parts = [
                (Part::A, module.kind.shape_of_a(a.n_rows(), a.n_cols()), Some(a.into_values())),
                (Part::B, module.kind.shape_of_b(b.n_cols(), b.n_rows()), Some(b.into_values())),
                (Part::Bias, vec![module.n_outputs], bias),
            ];
            let keys = named.modules.entry(module.name.clone()).or_default();
            for (part, shape, values) in parts {
                if let (Some(key), Some(values)) = (key(&module, part), values) {
                    let n: usize = shape.iter().product();
                    if n != values.len() {
                        let expected = format!("{n} values for shape {shape:?}");
                        return Err(Error::format(label, key, expected, values.len()));
                    }
                    keys.insert(part, key.clone());
                    tensors.insert(key, Tensor { shape, values });
                }
            }
            if module.kind == ModuleKind::Embedding {
                named.embeddings.insert(module.name);
            }
        }
        for (name, tensor) in heads {
            let key = format!("{}{name}", peft::PREFIX);
            named.add(label, KeySpelling::Peft, &key, &tensor.shape)?;
            tensors.insert(key, tensor);
        }
        let declared = Declared::Config(Box::new(config));
        assemble::build(label, label, declared, spelling, named, Tensors::Memory(tensors))
    }

    /// The folder or file, or the label of an adapter in memory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The family of files that the adapter was read from; PEFT in memory.
    pub fn format(&self) -> Format {
        self.spelling.format()
    }

    /// The configuration; for files that have none, the one that says the same.
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// All modules, by name.
    pub fn modules(&self) -> &[LoraModule] {
        &self.modules
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.modules.binary_search_by(|m| m.name.as_str().cmp(name)).ok()
    }

    /// The module of this name.
    pub fn module(&self, name: &str) -> Option<&LoraModule> {
        self.position(name).map(|i| &self.modules[i])
    }

    /// Names of the tensors that the adapter carries whole, such as `score.weight`.
    pub fn heads(&self) -> &[String] {
        &self.heads
    }

    /// What was odd but harmless.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Shape of a head.
    pub(crate) fn head_shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.shape(&format!("{}{name}", peft::PREFIX)).map(<[usize]>::to_vec)
    }

    /// Decodes a head.
    ///
    /// # Errors
    /// [`Error::Core`] when there is none of this name, or for values that are not finite.
    pub fn head(&self, name: &str) -> Result<Tensor> {
        self.tensors.decode(&self.path, &format!("{}{name}", peft::PREFIX))
    }

    /// Types of the stored factors `A` and `B` of one module, as safetensors names them (`F32`, `BF16`).
    pub fn types(&self, module: &str) -> Option<[String; 2]> {
        let parts = &self.parts[self.position(module)?];
        let name = |key: &str| self.tensors.dtype(key).map_or_else(String::new, |dtype| dtype.to_string());
        Some([name(parts.get(&Part::A)?), name(parts.get(&Part::B)?)])
    }

    /// Type of a module's part as stored.
    pub(crate) fn part_type(&self, module: &str, part: Part) -> Option<Dtype> {
        self.tensors.dtype(self.parts[self.position(module)?].get(&part)?)
    }

    /// Type of a head as stored.
    pub(crate) fn head_type(&self, name: &str) -> Option<Dtype> {
        self.tensors.dtype(&format!("{}{name}", peft::PREFIX))
    }

    fn part(&self, module: &str, part: Part) -> Result<Option<Tensor>> {
        let missing = || Error::format(&self.path, module, "a module of this adapter", "no such module");
        let i = self.position(module).ok_or_else(missing)?;
        self.parts[i].get(&part).map(|key| self.tensors.decode(&self.path, key)).transpose()
    }

    /// Decodes the factors of one module; those of convolutions are flattened to two axes.
    ///
    /// # Errors
    /// [`Error::Core`] when there is no such module, or for values that are not finite.
    pub fn factors(&self, module: &str) -> Result<Factors> {
        let scale = self.module(module).map_or(1.0, |m| m.scale);
        let matrix = |part: Part| -> Result<Matrix> {
            let missing = || Error::format(&self.path, module, "both factors", "one");
            let tensor = self.part(module, part)?.ok_or_else(missing)?;
            let n_rows = tensor.shape[0];
            let n_cols = tensor.shape[1..].iter().product();
            Matrix::new(n_rows, n_cols, tensor.values).map_err(Error::numeric(module))
        };
        Ok(Factors { a: matrix(Part::A)?, b: matrix(Part::B)?, scale })
    }

    /// Decodes the bias of one module's `B`, `[d_out]`, if it has one; the scale is not in it.
    ///
    /// # Errors
    /// [`Error::Core`] when there is no such module, or for values that are not finite.
    pub fn bias(&self, module: &str) -> Result<Option<Vec<f32>>> {
        Ok(self.part(module, Part::Bias)?.map(|tensor| tensor.values))
    }

    /// Decodes the magnitudes of one module, `[d_out]`, if it has some (DoRA).
    ///
    /// # Errors
    /// [`Error::Core`] when there is no such module, or for values that are not finite.
    pub fn magnitude(&self, module: &str) -> Result<Option<Vec<f32>>> {
        Ok(self.part(module, Part::Magnitude)?.map(|tensor| tensor.values))
    }

    /// The adapter with other names for its modules.
    pub(crate) fn renamed(mut self, rename: impl Fn(&str) -> String) -> Self {
        let all: BTreeSet<String> = self.modules.iter().map(|m| m.name.clone()).collect();
        // Suffixes and patterns in the configuration are no full names, and stay.
        self.config =
            self.config.renamed(|name| if all.contains(name) { rename(name) } else { name.to_string() });
        let mut both: Vec<_> = self.modules.into_iter().zip(self.parts).collect();
        both.iter_mut().for_each(|(module, _)| module.name = rename(&module.name));
        both.sort_by(|x, y| x.0.name.cmp(&y.0.name));
        (self.modules, self.parts) = both.into_iter().unzip();
        self
    }

    /// Whether names begin with components of a pipeline.
    pub(crate) fn is_pipeline(&self) -> bool {
        self.is_pipeline
    }

    /// The adapter with its modules replaced by others of scale 1, in memory; spelling and heads stay.
    pub(crate) fn with_modules(&self, modules: Vec<ModuleTensors>) -> Result<Self> {
        let outline = |m: &ModuleTensors| {
            let (shape, has_bias) = ([m.b.n_rows(), m.a.n_cols()], m.bias.is_some());
            LoraModule::of_scale_one(m.name.clone(), m.kind.clone(), m.a.n_rows(), shape, has_bias)
        };
        let mut config = self.config.clone();
        config.set_modules(&modules.iter().map(outline).collect::<Vec<_>>());
        let heads = self.heads.iter().map(|name| Ok((name.clone(), self.head(name)?)));
        let heads = heads.collect::<Result<Vec<_>>>()?;
        let key = |module: &LoraModule, part| self.parts[self.position(&module.name)?].get(&part).cloned();
        let made = Self::in_memory(&self.path, self.spelling, config, modules, heads, key)?;
        Ok(Self { is_pipeline: self.is_pipeline, warnings: self.warnings.clone(), ..made })
    }

    /// Writes the adapter as a PEFT folder in `f32`, beside its place and then renamed.
    ///
    /// # Errors
    /// [`Error::Core`] when the folder is there and `force` is not set, and when it cannot be written.
    pub fn write(&self, folder: impl AsRef<Path>, force: bool) -> Result<()> {
        let output = Output::new(folder.as_ref()).with_format(Format::Peft);
        convert(self, &output.with_existing(Existing::replaced_if(force)))
    }
}
