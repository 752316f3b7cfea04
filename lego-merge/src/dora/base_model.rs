//! Weights of a base model: safetensors in one file, or in a folder of several, with or without an index.

use std::path::Path;

use grouping_core::files::tensor_file::{Tensor, TensorFolder};
use grouping_core::matrix::Matrix;

use crate::{Error, Result};

/// A base model's weights, which stay in their files until one is asked for.
#[derive(Debug)]
pub struct BaseModel {
    tensors: TensorFolder,
}

impl BaseModel {
    /// Opens a safetensors file, or a folder of them; where there is an index the folder is read by it.
    ///
    /// # Errors
    /// [`Error::Core`] for files that cannot be read, [`Error::FileField`](grouping_core::Error::FileField) for damaged ones, or a folder without any.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { tensors: TensorFolder::open(path.as_ref())? })
    }

    /// The weight of a module, flattened to two axes and, where it is stored so, transposed to `[d_out, d_in]`.
    pub(super) fn weight(&self, module: &str, shape: [usize; 2], transposed: bool) -> Result<Matrix> {
        let name = self.find(module)?;
        let file = self.tensors.holder(name)?;
        let Tensor { shape: found, values } = file.decode(name)?;
        let stored = if transposed { [shape[1], shape[0]] } else { shape };
        let flat = [found.first().copied().unwrap_or(0), found.iter().skip(1).product()];
        if flat != stored {
            return Err(Error::format(file.path(), name, format!("shape {stored:?}"), format!("{found:?}")));
        }
        let matrix = if transposed {
            Matrix::from_fn(shape[0], shape[1], |i, j| values[j * stored[1] + i])
        } else {
            Matrix::new(shape[0], shape[1], values).map_err(Error::numeric(module))?
        };
        Ok(matrix)
    }

    /// The tensor `module.weight`, or the only one that has that name but for segments before it: models saved alone lack
    /// the name that a task's model has in front, and the other way round.
    fn find(&self, module: &str) -> Result<&str> {
        let wanted = format!("{module}.weight");
        if let Some(name) = self.tensors.names().find(|name| *name == wanted) {
            return Ok(name);
        }
        let fits = |name: &&str| {
            let ends =
                |long: &str, short: &str| long.strip_suffix(short).is_some_and(|rest| rest.ends_with('.'));
            ends(name, &wanted)
                || (name.contains('.') && name.matches('.').count() > 1 && ends(&wanted, name))
        };
        let found: Vec<_> = self.tensors.names().filter(fits).collect();
        match found.as_slice() {
            &[name] => Ok(name),
            others => {
                let found = if others.is_empty() { "none".into() } else { format!("{others:?}") };
                Err(Error::format(self.tensors.path(), wanted, "one weight of this module", found))
            }
        }
    }
}
