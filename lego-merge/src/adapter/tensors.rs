//! Tensors of one file, decoded one by one to `f32`, or held in memory.

use std::collections::BTreeMap;
use std::path::Path;

use grouping_core::files::tensor_file::{Dtype, Tensor, TensorFile, encode};
use indexmap::IndexMap;

use crate::{Error, Result};

/// Where an adapter's tensors come from.
#[derive(Debug)]
pub(crate) enum Tensors {
    Mapped(TensorFile),
    Memory(IndexMap<String, Tensor>),
}

impl Tensors {
    /// Maps a safetensors file, or one that `torch.save` wrote.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self::Mapped(TensorFile::open(path)?))
    }

    /// Names of all tensors in the order of the file.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        let (mapped, held) = match self {
            Self::Mapped(file) => (Some(file.names()), None),
            Self::Memory(tensors) => (None, Some(tensors.keys().map(String::as_str))),
        };
        mapped.into_iter().flatten().chain(held.into_iter().flatten())
    }

    /// Shape of one tensor.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        match self {
            Self::Mapped(file) => file.shape(name),
            Self::Memory(tensors) => tensors.get(name).map(|t| t.shape.as_slice()),
        }
    }

    /// Type of one tensor as stored.
    pub(crate) fn dtype(&self, name: &str) -> Option<Dtype> {
        match self {
            Self::Mapped(file) => file.dtype(name),
            Self::Memory(tensors) => tensors.get(name).map(|_| Dtype::F32),
        }
    }

    /// What the header says beside the tensors.
    pub(crate) fn metadata(&self) -> BTreeMap<String, String> {
        match self {
            Self::Mapped(file) => file.metadata().clone(),
            Self::Memory(_) => BTreeMap::new(),
        }
    }

    /// Type, shape and row-major bytes of one tensor in a file.
    pub(crate) fn stored(&self, name: &str) -> Option<(Dtype, &[usize], &[u8])> {
        let Self::Mapped(file) = self else { return None };
        file.stored(name)
    }

    /// Decodes one tensor.
    ///
    /// # Errors
    /// [`Error::FileField`](grouping_core::Error::FileField) for a missing tensor, a type other than f32, f16 or bf16, and for NaN or infinity.
    pub(crate) fn decode(&self, label: &Path, name: &str) -> Result<Tensor> {
        let missing = || Error::format(label, name, "a tensor of this name", "none");
        let tensors = match self {
            Self::Mapped(file) if file.shape(name).is_some() => return Ok(file.decode(name)?),
            Self::Mapped(_) => return Err(missing()),
            Self::Memory(tensors) => tensors,
        };
        let tensor = tensors.get(name).ok_or_else(missing)?;
        match tensor.values.iter().position(|v| !v.is_finite()) {
            None => Ok(tensor.clone()),
            Some(i) => {
                Err(Error::format(label, name, "finite values", format!("{} at index {i}", tensor.values[i])))
            }
        }
    }

    /// Decodes a single number of any type.
    pub(crate) fn scalar(&self, label: &Path, name: &str) -> Result<f64> {
        match self {
            Self::Mapped(file) => Ok(file.scalar(name)?),
            Self::Memory(_) => {
                let tensor = self.decode(label, name)?;
                let one = |_| Error::format(label, name, "one number", format!("shape {:?}", tensor.shape));
                <[f32; 1]>::try_from(tensor.values.as_slice()).map(|[value]| f64::from(value)).map_err(one)
            }
        }
    }

    /// One tensor's values as stored, row-major.
    pub(crate) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        match self {
            Self::Memory(tensors) => encode(&tensors.get(name)?.values, Dtype::F32),
            Self::Mapped(file) => file.bytes(name),
        }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Mapped(file) => Some(file.path()),
            Self::Memory(_) => None,
        }
    }
}
