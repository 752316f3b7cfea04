//! Where the parameters of a module come from.

use std::path::Path;

use crate::Result;
use crate::files::tensor_file::TensorFolder;

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

impl TensorSource for TensorFolder {
    fn read(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let tensor = self.holder(name)?.decode(name)?;
        Ok((tensor.shape, tensor.values))
    }

    fn path(&self, name: &str) -> &Path {
        self.shard_of(name).map_or(TensorFolder::path(self), |shard| shard.path())
    }
}
