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

pub use align::aligned;
pub(crate) use assemble::{in_module, is_of_base, targets};
pub(crate) use format::Part;
pub(crate) use layout::{AdapterWriter, Outline};
pub(crate) use tensors::Tensors;

use crate::{Error, Result};
use assemble::{Parts, Said};
use format::{Spelling, peft};

/// Name of the tensors' file in a PEFT folder.
pub const TENSOR_FILE: &str = "adapter_model.safetensors";

/// An adapter: its configuration, its modules, and the tensors that it carries whole (heads). A clone shares the file.
#[derive(Debug, Clone)]
pub struct Adapter {
    path: PathBuf,
    spelling: Spelling,
    /// Whether names begin with components of a pipeline.
    is_pipeline: bool,
    config: AdapterConfig,
    modules: Vec<LoraModule>,
    parts: Vec<Parts>,
    heads: Vec<String>,
    warnings: Vec<String>,
    tensors: Arc<Tensors>,
}

/// Names of the tensors in the bytes of a safetensors file, or of one that `torch.save` wrote.
///
/// # Errors
/// [`Error::Format`] and [`Error::Unsupported`] as [`Adapter::read`].
pub fn tensor_names(file: &[u8]) -> Result<Vec<String>> {
    Ok(tensor_file::names(file)?)
}

impl Adapter {
    /// Opens an adapter: a PEFT folder, or a single file of diffusers, kohya or PEFT, in safetensors or written by
    /// `torch.save` (which is read without running anything).
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Core`] for files that cannot be read, [`Error::Format`] where configuration and tensors disagree or
    /// the file is damaged, [`Error::Unsupported`] for what merging would silently get wrong.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        open::open(path.as_ref())
    }

    /// An adapter from factors of linear layers in memory, by full module name; `label` stands for its path in
    /// messages. Ranks and scales are taken from the factors and must agree with the configuration.
    ///
    /// # Errors
    /// [`Error::Format`] where factors and configuration disagree.
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
    /// [`Error::Format`] where factors and configuration disagree.
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
    /// [`Error::Format`] where modules and configuration disagree.
    pub fn from_modules(
        label: &str,
        config: AdapterConfig,
        modules: impl IntoIterator<Item = ModuleTensors>,
        heads: impl IntoIterator<Item = (String, Tensor)>,
    ) -> Result<Self> {
        let mut tensors = IndexMap::new();
        for ModuleTensors { name, kind, a, b, bias } in modules {
            let module = LoraModule {
                rank: a.n_rows(),
                n_inputs: a.n_cols(),
                n_outputs: b.n_rows(),
                scale: 1.0,
                has_bias: bias.is_some(),
                has_magnitude: false,
                name,
                kind,
            };
            // The shape of `B` follows its own rank, so that one that differs from that of `A` is found.
            let shapes = [
                (Part::A, module.kind.shape_of_a(a.n_rows(), a.n_cols()), Some(a.into_values())),
                (Part::B, module.kind.shape_of_b(b.n_cols(), b.n_rows()), Some(b.into_values())),
                (Part::Bias, vec![module.n_outputs], bias),
            ];
            for (part, shape, values) in shapes {
                if let (Some(key), Some(values)) = (peft::key(&module, part), values) {
                    let n: usize = shape.iter().product();
                    if n != values.len() {
                        let expected = format!("{n} values for shape {shape:?}");
                        return Err(Error::format(Path::new(label), key, expected, values.len()));
                    }
                    tensors.insert(key, Tensor { shape, values });
                }
            }
        }
        for (name, tensor) in heads {
            tensors.insert(format!("{}{name}", peft::PREFIX), tensor);
        }
        let said = Said::Config(Box::new(config));
        assemble::assemble(Path::new(label), Path::new(label), said, Tensors::Memory(tensors))
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
    /// [`Error::Format`] when there is none of this name, or for values that are not finite.
    pub fn head(&self, name: &str) -> Result<Tensor> {
        self.tensors.decode(&self.path, &format!("{}{name}", peft::PREFIX))
    }

    /// Types of the stored factors `A` and `B` of one module, as safetensors names them (`F32`, `BF16`).
    pub fn types(&self, module: &str) -> Option<[String; 2]> {
        let parts = &self.parts[self.position(module)?];
        let name = |key: &str| self.tensors.dtype(key).map_or_else(String::new, |dtype| format!("{dtype:?}"));
        Some([name(&parts.a), name(&parts.b)])
    }

    /// Type of a module's part as stored.
    pub(crate) fn part_type(&self, module: &str, part: Part) -> Option<Dtype> {
        self.tensors.dtype(self.parts[self.position(module)?].key(part)?)
    }

    /// Type of a head as stored.
    pub(crate) fn head_type(&self, name: &str) -> Option<Dtype> {
        self.tensors.dtype(&format!("{}{name}", peft::PREFIX))
    }

    fn part(&self, module: &str, part: Part) -> Result<Option<Tensor>> {
        let missing = || Error::format(&self.path, module, "a module of this adapter", "no such module");
        let i = self.position(module).ok_or_else(missing)?;
        self.parts[i].key(part).map(|key| self.tensors.decode(&self.path, key)).transpose()
    }

    /// Decodes the factors of one module; those of convolutions are flattened to two axes.
    ///
    /// # Errors
    /// [`Error::Format`] when there is no such module, or for values that are not finite.
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
    /// [`Error::Format`] when there is no such module, or for values that are not finite.
    pub fn bias(&self, module: &str) -> Result<Option<Vec<f32>>> {
        Ok(self.part(module, Part::Bias)?.map(|tensor| tensor.values))
    }

    /// Decodes the magnitudes of one module, `[d_out]`, if it has some (DoRA).
    ///
    /// # Errors
    /// [`Error::Format`] when there is no such module, or for values that are not finite.
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

    /// The adapter with other modules, of scale 1, in memory; its heads are read.
    pub(crate) fn with_modules(&self, modules: Vec<ModuleTensors>) -> Result<Self> {
        let label = self.path.display().to_string();
        let outlines: Vec<LoraModule> = modules
            .iter()
            .map(|m| {
                let shape = [m.b.n_rows(), m.a.n_cols()];
                LoraModule::of_scale_one(
                    m.name.clone(),
                    m.kind.clone(),
                    m.a.n_rows(),
                    shape,
                    m.bias.is_some(),
                )
            })
            .collect();
        let mut config = self.config.clone();
        config.set_modules(&outlines);
        let heads = self.heads.iter().map(|name| Ok((name.clone(), self.head(name)?)));
        let heads = heads.collect::<Result<Vec<_>>>()?;
        let made = Self::from_modules(&label, config, modules, heads)?;
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
