//! Tensors of one file, memory-mapped and decoded one by one to `f32`, or held in memory.
//!
//! Decoding lets go of the pages that it read, so that the resident memory of an adapter is bounded whatever its size.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use indexmap::IndexMap;
use memmap2::{Mmap, UncheckedAdvice};
use safetensors::tensor::Dtype;

use super::{header, torch_file};
use crate::{Error, Result};

/// Where an adapter's tensors come from.
#[derive(Debug)]
pub(crate) enum Tensors {
    Mapped { path: PathBuf, map: Mmap, stored: IndexMap<String, Stored>, metadata: BTreeMap<String, String> },
    Memory(IndexMap<String, Tensor>),
}

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) place: Place,
}

/// Where a tensor's values lie in its file; both are checked against the file when they are made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Place {
    /// Row-major, these bytes.
    Dense(Range<usize>),
    /// Value `(i, j, …)` lies `i·strides[0] + j·strides[1] + …` values into these bytes.
    Strided { bytes: Range<usize>, strides: Vec<usize> },
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
    /// Maps a safetensors file, or one that `torch.save` wrote, and checks what it says against its length.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path, "open"))?;
        // SAFETY: the map is read only; a file that another process changes meanwhile can change values, which are
        // checked when they are decoded, and its offsets are checked here.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path, "map"))?;
        let (stored, metadata) = if torch_file::is_one(&map) {
            (torch_file::parse(path, &map)?, BTreeMap::new())
        } else {
            let header = header::parse(path, &map)?;
            (header.tensors, header.metadata)
        };
        Ok(Self::Mapped { path: path.to_path_buf(), map, stored, metadata })
    }

    /// Names of all tensors in the order of the file.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        let len = match self {
            Self::Mapped { stored, .. } => stored.len(),
            Self::Memory(tensors) => tensors.len(),
        };
        (0..len).filter_map(|i| match self {
            Self::Mapped { stored, .. } => stored.get_index(i).map(|(name, _)| name.as_str()),
            Self::Memory(tensors) => tensors.get_index(i).map(|(name, _)| name.as_str()),
        })
    }

    /// Shape of one tensor.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        match self {
            Self::Mapped { stored, .. } => stored.get(name).map(|s| s.shape.as_slice()),
            Self::Memory(tensors) => tensors.get(name).map(|t| t.shape.as_slice()),
        }
    }

    /// Type of one tensor as stored.
    pub(crate) fn dtype(&self, name: &str) -> Option<Dtype> {
        match self {
            Self::Mapped { stored, .. } => stored.get(name).map(|s| s.dtype),
            Self::Memory(tensors) => tensors.get(name).map(|_| Dtype::F32),
        }
    }

    /// What the header says beside the tensors.
    pub(crate) fn metadata(&self) -> BTreeMap<String, String> {
        match self {
            Self::Mapped { metadata, .. } => metadata.clone(),
            Self::Memory(_) => BTreeMap::new(),
        }
    }

    /// Type, shape and row-major bytes of one tensor in a file.
    pub(crate) fn stored(&self, name: &str) -> Option<(Dtype, &[usize], &[u8])> {
        let Self::Mapped { map, stored, .. } = self else { return None };
        let Stored { dtype, shape, place } = stored.get(name)?;
        let Place::Dense(range) = place else { return None };
        Some((*dtype, shape, map.get(range.clone())?))
    }

    /// Decodes one tensor.
    ///
    /// # Errors
    /// [`Error::Format`] for a missing tensor, a type other than f32, f16 or bf16, and for NaN or infinity.
    pub(crate) fn decode(&self, label: &Path, name: &str) -> Result<Tensor> {
        let tensor = match self {
            Self::Memory(tensors) => tensors.get(name).cloned(),
            Self::Mapped { path, stored, .. } => match stored.get(name) {
                None => None,
                Some(Stored { dtype, shape, .. }) => {
                    let values =
                        self.look(name, |bytes| decode(bytes, *dtype)).flatten().ok_or_else(|| {
                            Error::format(path, name, "type F32, F16 or BF16", format!("{dtype:?}"))
                        })?;
                    Some(Tensor { shape: shape.clone(), values })
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

    /// Decodes a single number of any type.
    pub(crate) fn scalar(&self, label: &Path, name: &str) -> Result<f64> {
        let path = self.path().unwrap_or(label);
        if self.shape(name).map(|s| s.iter().product()) != Some(1usize) {
            return Err(Error::format(path, name, "one number", format!("shape {:?}", self.shape(name))));
        }
        let bytes = self.bytes(name).unwrap_or_default();
        let value = match (self.dtype(name), bytes.as_slice()) {
            (Some(Dtype::F64), &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
            (Some(Dtype::I64), &[a, b, c, d, e, f, g, h]) => {
                i64::from_le_bytes([a, b, c, d, e, f, g, h]) as f64
            }
            (Some(Dtype::I32), &[a, b, c, d]) => f64::from(i32::from_le_bytes([a, b, c, d])),
            _ => f64::from(self.decode(label, name)?.values[0]),
        };
        if value.is_finite() { Ok(value) } else { Err(Error::format(path, name, "a finite number", value)) }
    }

    /// One tensor's values as stored, row-major.
    pub(crate) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        match self {
            Self::Memory(tensors) => encode(&tensors.get(name)?.values, Dtype::F32),
            Self::Mapped { .. } => self.look(name, <[u8]>::to_vec),
        }
    }

    /// Shows a mapped tensor's bytes, row-major, and releases their pages.
    fn look<T>(&self, name: &str, with: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let Self::Mapped { map, stored, .. } = self else { return None };
        let Stored { dtype, shape, place } = stored.get(name)?;
        let (range, seen) = match place {
            Place::Dense(range) => (range, with(map.get(range.clone())?)),
            Place::Strided { bytes, strides } => {
                let values = gather(map.get(bytes.clone())?, dtype.bitsize() / 8, shape, strides)?;
                (bytes, with(&values))
            }
        };
        release(map, range);
        Some(seen)
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Mapped { path, .. } => Some(path),
            Self::Memory(_) => None,
        }
    }
}

/// The kernel maps the surroundings of a page too: 64 KiB around it, and since Linux 6.18 all of the folio of the page
/// cache that holds it, which has at most this many bytes and begins at a multiple of its size.
const FOLIO: usize = 2 << 20;
const AROUND: usize = 64 << 10;

/// Lets go of the pages of `range`; they are read from the file again when they are wanted again.
fn release(map: &Mmap, range: &Range<usize>) {
    let from = range.start.saturating_sub(AROUND) / FOLIO * FOLIO;
    let to = (range.end + AROUND).next_multiple_of(FOLIO).min(map.len());
    if from < to {
        // SAFETY: the map is a read-only view of a file, so its pages hold nothing that the file does not. A system
        // that does not take the advice keeps the pages, which is no error.
        let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, from, to - from) };
    }
}

/// Copies a strided tensor of `width` bytes a value into row-major order.
fn gather(bytes: &[u8], width: usize, shape: &[usize], strides: &[usize]) -> Option<Vec<u8>> {
    let n: usize = shape.iter().product();
    let mut out = Vec::with_capacity(n * width);
    let mut index = vec![0; shape.len()];
    for _ in 0..n {
        let at: usize = index.iter().zip(strides).map(|(i, stride)| i * stride).sum();
        out.extend_from_slice(bytes.get(at * width..(at + 1) * width)?);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    Some(out)
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

/// Encodes values, each rounded once to the nearest; `None` for a type that is not written.
pub(crate) fn encode(values: &[f32], dtype: Dtype) -> Option<Vec<u8>> {
    Some(match dtype {
        Dtype::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Dtype::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect(),
        _ => return None,
    })
}
