//! Reading and writing the parameters of any module as safetensors, under the paths of their fields.
//!
//! [`Layout::Checkpoint`] is the layout of other programs' checkpoints: the weight of a [`Projection`](super::Projection),
//! `[in, out]` in memory, is written and read as `[out, in]`, and updates of low rank are left out. [`Layout::Training`] holds
//! exactly the parameters under training, as they lie in memory. Both write f32 in the order of names, so that equal weights
//! give equal bytes; f32, f16 and bf16 are read.

use std::collections::HashMap;
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use safetensors::tensor::{Metadata, TensorInfo};

use crate::files::output::{Existing, write_file};
use crate::files::source::{NamedTensors, TensorSource};
use crate::files::tensor_file::{Dtype, Planned, TensorFolder, TensorWriter};
use crate::{Error, Result};

/// Which parameters a file holds, and how they lie there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// All parameters but updates of low rank, projections transposed.
    Checkpoint,
    /// The parameters that require gradients, as in memory.
    Training,
}

/// Writes the parameters of `module` to a new file at `path`, with an entry of metadata, a key and its value, where one is given.
///
/// # Errors
/// [`Error::Exists`] when something is there, and those of [`write_file`].
pub fn save<M: Module>(
    module: &M,
    path: &Path,
    layout: Layout,
    metadata: Option<(&str, &str)>,
) -> Result<()> {
    write_tensors(&collect(module, layout), path, metadata)
}

/// The parameters of `module`, by the names that [`save`] gives them.
pub fn collect<M: Module>(module: &M, layout: Layout) -> NamedTensors {
    let mut collector = Collector { module: ModulePath::new(layout), found: Vec::new() };
    module.visit(&mut collector);
    collector.found.into_iter().collect()
}

/// Replaces the parameters of `module` by those of the file at `path`.
///
/// # Errors
/// [`Error::Io`] or [`Error::File`] when the file cannot be read, [`Error::FileField`] when it is damaged, lacks a parameter or holds another data type,
/// NaN or infinity, [`Error::Shape`] when a tensor has another shape.
pub fn load<M: Module>(module: M, path: &Path, layout: Layout) -> Result<M> {
    load_from(module, &TensorFolder::open(path)?, layout)
}

/// As [`load`], from any source of tensors.
///
/// # Errors
/// [`Error::Shape`] when a tensor has another shape, and whatever `source` returns.
pub fn load_from<M: Module>(module: M, source: &dyn TensorSource, layout: Layout) -> Result<M> {
    let mut loader = Loader { module: ModulePath::new(layout), source, error: None };
    let module = module.map(&mut loader);
    loader.error.map_or(Ok(module), Err)
}

/// Writes tensors as one new f32 safetensors file, whose header is as the crate `safetensors` spells it; one entry of metadata at most,
/// since several would be written in the order of a hash map.
pub(crate) fn write_tensors(
    tensors: &NamedTensors,
    path: &Path,
    metadata: Option<(&str, &str)>,
) -> Result<()> {
    let metadata = metadata.map(|(key, value)| HashMap::from([(key.to_owned(), value.to_owned())]));
    let mut end = 0;
    let entries = tensors.iter().map(|(name, (shape, values))| {
        let start = end;
        end += 4 * values.len();
        (name.clone(), TensorInfo { dtype: Dtype::F32, shape: shape.clone(), data_offsets: (start, end) })
    });
    let refuse = |e: &dyn std::fmt::Display| Error::File { path: path.to_owned(), reason: e.to_string() };
    let header = Metadata::new(metadata, entries.collect());
    let mut header = serde_json::to_vec(&header.map_err(|e| refuse(&e))?).map_err(|e| refuse(&e))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let head = [&(header.len() as u64).to_le_bytes()[..], &header].concat();
    let planned: Vec<Planned> =
        tensors.iter().map(|(name, (shape, _))| Planned::new(name, shape.clone(), Dtype::F32)).collect();
    write_file(path, Existing::Refuse, |file| {
        let writer = TensorWriter::headed(file, path, &head, &planned)?;
        tensors.iter().try_for_each(|(name, (_, values))| writer.write(name, values))?;
        writer.finish()
    })
}

/// Reads every tensor of a file as f32.
#[cfg(feature = "train")]
pub(crate) fn read_tensors(path: &Path) -> Result<NamedTensors> {
    let files = TensorFolder::open(path)?;
    files.names().map(|name| Ok((name.to_owned(), files.read(name)?))).collect()
}

/// Where a traversal is in its module.
struct ModulePath {
    layout: Layout,
    names: Vec<String>,
    containers: Vec<String>,
}

impl ModulePath {
    fn new(layout: Layout) -> Self {
        Self { layout, names: Vec::new(), containers: Vec::new() }
    }

    fn enter(&mut self, name: &str, container: &str) {
        self.names.push(name.to_owned());
        self.containers.push(container.to_owned());
    }

    fn exit(&mut self) {
        self.names.pop();
        self.containers.pop();
    }

    fn holds<const D: usize>(&self, param: &Param<Tensor<D>>) -> bool {
        match self.layout {
            Layout::Checkpoint => !self.containers.iter().any(|name| name == "Struct:LowRank"),
            Layout::Training => param.is_require_grad(),
        }
    }

    fn is_transposed<const D: usize>(&self) -> bool {
        let in_projection = self.containers.last().is_some_and(|name| name == "Struct:Projection");
        self.layout == Layout::Checkpoint && D == 2 && in_projection
    }
}

/// Shape and row-major values of a tensor.
type Values = (Vec<usize>, Vec<f32>);

struct Collector {
    module: ModulePath,
    found: Vec<(String, Values)>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.module.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.module.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !self.module.holds(param) {
            return;
        }
        let mut tensor = param.val();
        if tensor.is_autodiff() {
            tensor = tensor.inner();
        }
        if self.module.is_transposed::<D>() {
            tensor = tensor.transpose();
        }
        let shape = tensor.dims().to_vec();
        let values =
            tensor.into_data().convert::<f32>().try_into_vec().expect("a float tensor converts to f32");
        self.found.push((self.module.names.join("."), (shape, values)));
    }
}

struct Loader<'a> {
    module: ModulePath,
    source: &'a dyn TensorSource,
    error: Option<Error>,
}

impl Loader<'_> {
    fn read<const D: usize>(&self, param: &Param<Tensor<D>>) -> Result<Tensor<D>> {
        let name = self.module.names.join(".");
        let (found, values) = self.source.read(&name)?;
        let mut expected: Vec<usize> = param.lazy_shape().iter().copied().collect();
        if self.module.is_transposed::<D>() {
            expected.reverse();
        }
        if found != expected {
            let what = format!("{}: tensor `{name}`", self.source.path(&name).display());
            return Err(Error::Shape { what, expected, found });
        }
        let device = param.lazy_device().without_autodiff();
        let mut tensor = Tensor::<D>::from_data(TensorData::new(values, found), &device);
        if self.module.is_transposed::<D>() {
            // Copied, so that products read the weight row by row.
            tensor = Tensor::from_data(tensor.transpose().into_data(), &device);
        }
        Ok(if param.lazy_device().is_autodiff() { Tensor::from_inner(tensor) } else { tensor })
    }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.module.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.module.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() || !self.module.holds(&param) {
            return param;
        }
        match self.read(&param) {
            Ok(tensor) => {
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}
