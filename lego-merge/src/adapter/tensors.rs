//! Tensors of one safetensors file, memory-mapped and decoded one by one to `f32`, or held in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use indexmap::IndexMap;
use memmap2::Mmap;
use safetensors::tensor::{Dtype, Metadata, SafeTensorError, SafeTensors, TensorInfo};
use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Result};

/// Where an adapter's tensors come from.
#[derive(Debug)]
pub(crate) enum Tensors {
    Mapped { path: PathBuf, map: Mmap, start: usize, header: Metadata },
    Memory(BTreeMap<String, Tensor>),
}

/// A tensor in `f32`, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// All values.
    pub values: Vec<f32>,
}

impl Tensors {
    /// Maps the file and checks its header against its length.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path, "open"))?;
        // SAFETY: the map is read only; a file that another process changes meanwhile can change values, which are
        // checked when they are decoded, and its offsets are checked here.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path, "map"))?;
        let (header_len, header) = SafeTensors::read_metadata(&map).map_err(|e| misfit(path, &map, &e))?;
        Ok(Self::Mapped { path: path.to_path_buf(), map, start: header_len + 8, header })
    }

    /// Name and shape of every tensor, by name.
    pub(crate) fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        match self {
            Self::Mapped { header, .. } => {
                header.tensors().into_iter().map(|(name, info)| (name, info.shape.clone())).collect()
            }
            Self::Memory(tensors) => tensors.iter().map(|(n, t)| (n.clone(), t.shape.clone())).collect(),
        }
    }

    /// Shape of one tensor.
    pub(crate) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        match self {
            Self::Mapped { header, .. } => header.info(name).map(|info| info.shape.clone()),
            Self::Memory(tensors) => tensors.get(name).map(|t| t.shape.clone()),
        }
    }

    /// Type, shape and bytes of one tensor in a file.
    pub(crate) fn stored(&self, name: &str) -> Option<(Dtype, &[usize], &[u8])> {
        match self {
            Self::Memory(_) => None,
            Self::Mapped { map, start, header, .. } => {
                let info = header.info(name)?;
                let (from, to) = info.data_offsets;
                Some((info.dtype, &info.shape, map.get(start + from..start + to)?))
            }
        }
    }

    /// Decodes one tensor.
    ///
    /// # Errors
    /// [`Error::Format`] for a missing tensor, a type other than f32, f16 or bf16, and for NaN or infinity.
    pub(crate) fn decode(&self, label: &Path, name: &str) -> Result<Tensor> {
        let tensor = match self {
            Self::Memory(tensors) => tensors.get(name).cloned(),
            Self::Mapped { path, map, start, header } => match header.info(name) {
                None => None,
                Some(info) => {
                    let (from, to) = info.data_offsets;
                    let values = decode(&map[start + from..start + to], info.dtype).ok_or_else(|| {
                        Error::format(path, name, "type F32, F16 or BF16", format!("{:?}", info.dtype))
                    })?;
                    Some(Tensor { shape: info.shape.clone(), values })
                }
            },
        };
        let tensor = tensor.ok_or_else(|| Error::format(label, name, "a tensor of this name", "none"))?;
        if let Some(i) = tensor.values.iter().position(|v| !v.is_finite()) {
            let found = format!("{} at index {i}", tensor.values[i]);
            return Err(Error::format(self.path().unwrap_or(label), name, "finite values", found));
        }
        Ok(tensor)
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Mapped { path, .. } => Some(path),
            Self::Memory(_) => None,
        }
    }
}

/// The error of a header that does not fit its file: the tensor at fault where there is one.
fn misfit(path: &Path, file: &[u8], error: &SafeTensorError) -> Error {
    blame(path, file)
        .unwrap_or_else(|| Error::format(path, "header", "a safetensors header that fits the file", error))
}

fn blame(path: &Path, file: &[u8]) -> Option<Error> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let length = u64::from_le_bytes(*length);
    let Some(header) = usize::try_from(length).ok().and_then(|n| rest.get(..n)) else {
        let expected = format!("at most the {} bytes that follow", rest.len());
        return Some(Error::format(path, "header's length", expected, length));
    };
    let n_data_bytes = (rest.len() - header.len()) as u64;
    let entries: IndexMap<String, Value> = serde_json::from_slice(header).ok()?;
    for (name, entry) in entries.iter().filter(|(name, _)| *name != "__metadata__") {
        let Ok(info) = TensorInfo::deserialize(entry) else {
            let expected = "a known dtype, a shape and data_offsets";
            return Some(Error::format(path, name, expected, entry));
        };
        let (from, to) = info.data_offsets;
        let n_values = info.shape.iter().try_fold(1u64, |n, &len| n.checked_mul(len as u64));
        let n_bytes = n_values.and_then(|n| n.checked_mul(info.dtype.bitsize() as u64)).map(|bits| bits / 8);
        let found = format!("data_offsets [{from}, {to}]");
        let expected = match n_bytes {
            Some(n)
                if to.checked_sub(from).is_some_and(|found| found as u64 == n)
                    && to as u64 <= n_data_bytes =>
            {
                continue;
            }
            Some(n) => format!(
                "{n} bytes of {:?} values of shape {:?} within {n_data_bytes} bytes of data",
                info.dtype, info.shape
            ),
            None => format!("a shape that a file can hold instead of {:?}", info.shape),
        };
        let size = to.checked_sub(from).map_or_else(String::new, |n| format!(", {n} bytes"));
        return Some(Error::format(path, name, expected, found + &size));
    }
    None
}

fn decode(bytes: &[u8], dtype: Dtype) -> Option<Vec<f32>> {
    let halves = || bytes.as_chunks::<2>().0.iter().map(|&b| u16::from_le_bytes(b));
    Some(match dtype {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        Dtype::F16 => halves().map(|b| f16::from_bits(b).to_f32()).collect(),
        Dtype::BF16 => halves().map(|b| bf16::from_bits(b).to_f32()).collect(),
        _ => return None,
    })
}
