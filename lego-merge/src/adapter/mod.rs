//! LoRA adapters: PEFT folders in and out, or made in memory.
//!
//! A module's update is `ΔW = s·B·A` with `A [r, d_in]` and `B [d_out, r]`. Factors stay in the file until a module
//! is asked for, so that reading many adapters needs the memory of one module.

mod config;
mod read;
mod tensors;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use grouping_core::matrix::Matrix;

pub use config::{AdapterConfig, CONFIG_FILE, TargetModules};
pub use tensors::Tensor;
pub use write::FolderWriter;

pub(crate) use read::{in_module, targets};
pub(crate) use tensors::Tensors;

use crate::{Error, Result};

/// Name of the tensors' file in an adapter's folder.
pub const TENSOR_FILE: &str = "adapter_model.safetensors";
/// What PEFT puts before every module's name in the file.
pub(crate) const PREFIX: &str = "base_model.model.";

/// One module of an adapter: its shape and scale, not its values.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LoraModule {
    /// Full name in the base model, such as `model.layers.0.self_attn.q_proj`.
    pub name: String,
    /// Number of units, the rank of its factors.
    pub rank: usize,
    /// `d_in`.
    pub n_inputs: usize,
    /// `d_out`.
    pub n_outputs: usize,
    /// `s`, by which the product of the factors is multiplied.
    pub scale: f64,
}

/// The factors of one module, as stored: the scale is not in them.
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    /// `A [r, d_in]`.
    pub a: Matrix,
    /// `B [d_out, r]`.
    pub b: Matrix,
    /// `s`.
    pub scale: f64,
}

/// An adapter: its configuration, its modules, and the tensors that it carries whole (heads).
#[derive(Debug)]
pub struct Adapter {
    path: PathBuf,
    config: AdapterConfig,
    modules: Vec<LoraModule>,
    heads: Vec<String>,
    warnings: Vec<String>,
    tensors: Tensors,
}

impl Adapter {
    /// Opens a PEFT folder with `adapter_config.json` and `adapter_model.safetensors`.
    ///
    /// # Errors
    /// [`Error::Io`] for files that cannot be read, [`Error::Format`] where configuration and tensors disagree or
    /// the file is damaged, [`Error::Unsupported`] for what merging would silently get wrong.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self> {
        read::read(folder.as_ref())
    }

    /// An adapter from factors in memory, by full module name; `label` stands for its path in messages. Ranks and
    /// scales are taken from the factors and must agree with the configuration.
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
        let heads = heads.into_iter().map(|(name, tensor)| (format!("{PREFIX}{name}"), tensor));
        let mut tensors: BTreeMap<_, _> = heads.collect();
        for (module, a, b) in factors {
            for (side, m) in [("A", a), ("B", b)] {
                let shape = vec![m.n_rows(), m.n_cols()];
                let tensor = Tensor { shape, values: m.into_values() };
                tensors.insert(format!("{PREFIX}{module}.lora_{side}.weight"), tensor);
            }
        }
        read::assemble(Path::new(label), Path::new(label), config, Tensors::Memory(tensors))
    }

    /// The folder, or the label of an adapter in memory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration.
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// All modules, by name.
    pub fn modules(&self) -> &[LoraModule] {
        &self.modules
    }

    /// The module of this name.
    pub fn module(&self, name: &str) -> Option<&LoraModule> {
        self.modules.binary_search_by(|m| m.name.as_str().cmp(name)).ok().map(|i| &self.modules[i])
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
        self.tensors.shape(&format!("{PREFIX}{name}"))
    }

    /// Decodes a head.
    ///
    /// # Errors
    /// [`Error::Format`] when there is none of this name, or for values that are not finite.
    pub fn head(&self, name: &str) -> Result<Tensor> {
        self.tensors.decode(&self.path, &format!("{PREFIX}{name}"))
    }

    /// Decodes the factors of one module.
    ///
    /// # Errors
    /// [`Error::Format`] when there is no such module, or for values that are not finite.
    pub fn factors(&self, module: &str) -> Result<Factors> {
        let scale = self
            .module(module)
            .map(|m| m.scale)
            .ok_or_else(|| Error::format(&self.path, module, "a module of this adapter", "no such module"))?;
        let matrix = |side: &str| -> Result<Matrix> {
            let Tensor { shape, values } =
                self.tensors.decode(&self.path, &format!("{PREFIX}{module}.lora_{side}.weight"))?;
            Matrix::new(shape[0], shape[1], values).map_err(Error::numeric(module))
        };
        Ok(Factors { a: matrix("A")?, b: matrix("B")?, scale })
    }

    /// Writes the adapter as a PEFT folder in `f32`, beside its place and then renamed.
    ///
    /// # Errors
    /// [`Error::Exists`] when the folder is there and `force` is not set, [`Error::Io`] when it cannot be written.
    pub fn write(&self, folder: impl AsRef<Path>, force: bool) -> Result<()> {
        let shapes: Vec<(String, Vec<usize>)> = self.tensors.shapes().into_iter().collect();
        let writer = FolderWriter::create(folder.as_ref(), &shapes, force)?;
        for (name, _) in &shapes {
            writer.write(name, &self.tensors.decode(&self.path, name)?.values)?;
        }
        writer.finish(&self.config)
    }
}
