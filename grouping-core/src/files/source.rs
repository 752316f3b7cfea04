//! Where the parameters of a model come from: tensors by name, in files or in memory.

use std::collections::BTreeMap;
use std::path::Path;

use super::tensor_file::TensorFolder;
use crate::{Error, Result};

/// Tensors by name.
pub trait TensorSource {
    /// The shape of the tensor `name` and its values, row-major, all finite.
    ///
    /// # Errors
    /// An error that names the file where there is none, or none of floats, or where it holds NaN or infinity.
    fn read(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)>;

    /// The file that holds the tensor `name`, or should; for errors.
    fn path(&self, name: &str) -> &Path;
}

/// Tensors in memory by name: shape and row-major values.
pub type NamedTensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

impl TensorSource for NamedTensors {
    fn read(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let missing = || Error::file_field(self.path(name), name, "a tensor of this name", "none");
        self.get(name).cloned().ok_or_else(missing)
    }

    fn path(&self, _name: &str) -> &Path {
        Path::new("tensors in memory")
    }
}

impl TensorSource for TensorFolder {
    fn read(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let tensor = self.holder(name)?.decode(name)?;
        Ok((tensor.shape, tensor.values))
    }

    fn path(&self, name: &str) -> &Path {
        self.shard_of(name).map_or(TensorFolder::path(self), |shard| shard.path())
    }
}
