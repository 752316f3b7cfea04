//! Tensors in files: safetensors and what `torch.save` writes, memory-mapped, checked when opened and decoded piece by piece to `f32`;
//! and their writing, piece by piece too.
//!
//! Nothing in a file is trusted: headers, archives and pickles are checked against the file's length before anything is
//! allocated, and pickles are read as data, never run. Reading lets go of the pages that it read, so that the resident
//! memory is bounded whatever the file's size.

mod archive;
mod folder;
mod header;
mod pickle;
mod torch_file;
mod values;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use memmap2::Mmap;
pub use safetensors::tensor::Dtype;

pub use folder::TensorFolder;
pub use values::{encode, is_float, largest};
pub use writer::{Planned, TensorWriter};

use crate::stats::finite::first_not_finite;
use crate::{Error, Result, platform};
use values::{decode, gather, integers};

/// A memory-mapped file of tensors, whose values stay in the file until they are asked for.
///
/// ```
/// use std::collections::BTreeMap;
/// use grouping_core::files::tensor_file::{Dtype, Planned, TensorFile, TensorWriter};
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("two.safetensors");
/// let planned = [Planned::new("scale", vec![2], Dtype::BF16), Planned::new("weight", vec![2, 3], Dtype::F32)];
/// let writer = TensorWriter::safetensors(std::fs::File::create(&path)?, &path, &planned, &BTreeMap::new())?;
/// writer.write("scale", &[1.0, 0.5])?;
/// writer.write("weight", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// writer.finish()?;
///
/// let file = TensorFile::open(&path)?;
/// assert_eq!(file.shape("weight"), Some(&[2, 3][..]));
/// assert_eq!(file.decode("scale")?.values, [1.0, 0.5]);
/// assert_eq!(file.decode_rows("weight", 1..2)?, [4.0, 5.0, 6.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    map: Content,
    stored: IndexMap<String, Stored>,
    metadata: BTreeMap<String, String>,
}

/// Where the bytes of a file are.
#[derive(Debug)]
enum Content {
    Mapped(Mmap),
    /// Part of the program, or read before.
    Memory(&'static [u8]),
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Memory(bytes) => bytes,
        }
    }
}

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq)]
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    place: Place,
}

/// Where a tensor's values lie in its file; both are checked against the file when they are made.
#[derive(Debug, Clone, PartialEq)]
enum Place {
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

/// A tensor of whole numbers, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integers {
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// All values.
    pub values: Vec<i64>,
}

/// Names of the tensors in the bytes of a safetensors file, or of one that `torch.save` wrote.
///
/// # Errors
/// As [`TensorFile::open`], with the path `bytes`.
pub fn names(file: &[u8]) -> Result<Vec<String>> {
    Ok(parse(Path::new("bytes"), file)?.tensors.into_keys().collect())
}

/// Whether the file at `path` begins as safetensors and what `torch.save` writes do, so that its tensors have names.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read.
pub fn has_names(path: &Path) -> Result<bool> {
    if std::fs::metadata(path).map_err(Error::file(path, "read"))?.len() == 0 {
        return Ok(false);
    }
    let map = map(path)?;
    Ok(torch_file::has_magic(&map) || torch_file::is_header(&map))
}

fn parse(path: &Path, file: &[u8]) -> Result<header::Header> {
    if torch_file::is_one(file) {
        Ok(header::Header { tensors: torch_file::parse(path, file)?, metadata: BTreeMap::new() })
    } else {
        header::parse(path, file)
    }
}

fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(Error::file(path, "open"))?;
    // SAFETY: the map is read only; a file that another process changes meanwhile can change values, which are
    // checked when they are decoded, and its offsets are checked when it is opened.
    unsafe { Mmap::map(&file) }.map_err(Error::file(path, "map"))
}

impl TensorFile {
    /// Maps a safetensors file, or one that `torch.save` wrote, and checks what it says against its length. A dictionary of tensors
    /// that lies inside another under `state_dict`, `model_state_dict`, `model`, `base_model` or `network` is found there.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`Error::FileField`] for one that is damaged, [`Error::Unsupported`] for a
    /// pickle that is more than a dictionary of tensors.
    pub fn open(path: &Path) -> Result<Self> {
        let map = map(path)?;
        let header::Header { tensors: stored, metadata } = parse(path, &map)?;
        Ok(Self { path: path.to_path_buf(), map: Content::Mapped(map), stored, metadata })
    }

    /// As [`TensorFile::open`], of a file whose bytes are in memory, such as one that is part of the program; `label` is the path named in
    /// errors.
    ///
    /// # Errors
    /// As [`TensorFile::open`], none of the system.
    pub fn in_memory(label: &Path, bytes: &'static [u8]) -> Result<Self> {
        let header::Header { tensors: stored, metadata } = parse(label, bytes)?;
        Ok(Self { path: label.to_path_buf(), map: Content::Memory(bytes), stored, metadata })
    }

    /// Maps a file without a header of its own, whose tensors lie one after another from byte `start` on.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`Error::FileField`] for a tensor that leaves the file, naming it.
    pub fn with_layout(path: &Path, start: usize, tensors: &[Planned]) -> Result<Self> {
        let map = map(path)?;
        let mut stored = IndexMap::with_capacity(tensors.len());
        let mut from = start;
        for Planned { name, shape, dtype } in tensors {
            let n_bytes = shape.iter().try_fold(dtype.bitsize() / 8, |n, &len| n.checked_mul(len));
            let to = n_bytes.and_then(|n| from.checked_add(n)).filter(|&to| to <= map.len());
            let Some(to) = to else {
                let expected = format!("{dtype:?} values of shape {shape:?} from byte {from} on");
                let found = format!("a file of {} bytes", map.len());
                return Err(Error::file_field(path, name, expected, found));
            };
            let place = Place::Dense(from..to);
            let tensor = Stored { dtype: *dtype, shape: shape.clone(), place };
            if stored.insert(name.clone(), tensor).is_some() {
                return Err(Error::file_field(path, name, "each name once", "it twice"));
            }
            from = to;
        }
        Ok(Self { path: path.to_path_buf(), map: Content::Mapped(map), stored, metadata: BTreeMap::new() })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file.
    pub fn n_bytes(&self) -> usize {
        self.map.len()
    }

    /// Names of all tensors in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.stored.keys().map(String::as_str)
    }

    /// Shape of one tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.stored.get(name).map(|s| s.shape.as_slice())
    }

    /// Type of one tensor as stored.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        self.stored.get(name).map(|s| s.dtype)
    }

    /// What a safetensors header says beside the tensors.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Type, shape and row-major bytes of one tensor as they lie in the file; `None` where they are not in one piece.
    pub fn stored(&self, name: &str) -> Option<(Dtype, &[usize], &[u8])> {
        let Stored { dtype, shape, place } = self.stored.get(name)?;
        let Place::Dense(range) = place else { return None };
        Some((*dtype, shape, self.map.get(range.clone())?))
    }

    /// Decodes one tensor.
    ///
    /// # Errors
    /// [`Error::FileField`] for a missing tensor, a type other than f32, f16 or bf16, and for NaN or infinity.
    pub fn decode(&self, name: &str) -> Result<Tensor> {
        let Stored { dtype, shape, .. } = self.found(name)?;
        let values = self.look(name, |bytes| decode(bytes, *dtype)).flatten();
        let values = values.ok_or_else(|| self.no_float(name, *dtype))?;
        self.check_finite(name, &values, 0)?;
        Ok(Tensor { shape: shape.clone(), values })
    }

    /// Decodes one tensor as [`TensorFile::decode`] does, and one of type F64 too, each value rounded once to the nearest `f32`.
    ///
    /// # Errors
    /// [`Error::FileField`] for a missing tensor, one that is not of floats, and for NaN, infinity and what `f32` cannot hold.
    pub fn decode_rounded(&self, name: &str) -> Result<Tensor> {
        let Stored { dtype: Dtype::F64, shape, .. } = self.found(name)? else { return self.decode(name) };
        let round = |b: &[u8; 8]| f64::from_le_bytes(*b) as f32;
        let values = self.look(name, |bytes| bytes.as_chunks::<8>().0.iter().map(round).collect());
        let values: Vec<f32> = values.ok_or_else(|| self.no_float(name, Dtype::F64))?;
        self.check_finite(name, &values, 0)?;
        Ok(Tensor { shape: shape.clone(), values })
    }

    /// Decodes one tensor of whole numbers.
    ///
    /// # Errors
    /// [`Error::FileField`] for a missing tensor and for a type other than I8 to I64 and U8 to U32.
    pub fn integers(&self, name: &str) -> Result<Integers> {
        let Stored { dtype, shape, .. } = self.found(name)?;
        let values = self.look(name, |bytes| integers(bytes, *dtype)).flatten();
        let no_integer = || {
            let expected = "type I8 to I64 or U8 to U32";
            Error::file_field(&self.path, name, expected, format!("{dtype:?}"))
        };
        Ok(Integers { shape: shape.clone(), values: values.ok_or_else(no_integer)? })
    }

    /// Decodes some rows (entries of the first axis) of one tensor.
    ///
    /// # Errors
    /// As [`TensorFile::decode`], and [`Error::FileField`] for rows that the tensor lacks.
    pub fn decode_rows(&self, name: &str, rows: Range<usize>) -> Result<Vec<f32>> {
        let Stored { dtype, shape, place } = self.found(name)?;
        let n_rows = shape.first().copied().unwrap_or(0);
        if rows.start > rows.end || rows.end > n_rows {
            return Err(Error::file_field(
                &self.path,
                name,
                format!("rows {rows:?}"),
                format!("{n_rows} rows"),
            ));
        }
        let row_shape = shape.get(1..).unwrap_or_default();
        let n_cols: usize = row_shape.iter().product();
        let values = match place {
            Place::Dense(bytes) => {
                let width = n_cols * dtype.bitsize() / 8;
                let bytes = bytes.start + rows.start * width..bytes.start + rows.end * width;
                let values = self.map.get(bytes.clone()).and_then(|bytes| decode(bytes, *dtype));
                release(&self.map, &bytes);
                values
            }
            Place::Strided { bytes, strides } => {
                let (width, first) = (dtype.bitsize() / 8, rows.start * strides[0]);
                let from = (bytes.start + first * width).min(bytes.end);
                let some = [&[rows.len()], row_shape].concat();
                let values = self.map.get(from..bytes.end).and_then(|b| gather(b, width, &some, strides));
                release(&self.map, bytes);
                values.and_then(|values| decode(&values, *dtype))
            }
        };
        let values = values.ok_or_else(|| self.no_float(name, *dtype))?;
        self.check_finite(name, &values, rows.start * n_cols)?;
        Ok(values)
    }

    /// Decodes a single number of any type.
    ///
    /// # Errors
    /// [`Error::FileField`] for a missing tensor, more than one number, or one that is not finite.
    pub fn scalar(&self, name: &str) -> Result<f64> {
        if self.shape(name).map(|s| s.iter().product()) != Some(1usize) {
            let found = format!("shape {:?}", self.shape(name));
            return Err(Error::file_field(&self.path, name, "one number", found));
        }
        let bytes = self.bytes(name).unwrap_or_default();
        let value = match (self.dtype(name), bytes.as_slice()) {
            (Some(Dtype::F64), &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
            (Some(Dtype::I64), &[a, b, c, d, e, f, g, h]) => {
                i64::from_le_bytes([a, b, c, d, e, f, g, h]) as f64
            }
            (Some(Dtype::I32), &[a, b, c, d]) => f64::from(i32::from_le_bytes([a, b, c, d])),
            _ => f64::from(self.decode(name)?.values[0]),
        };
        if value.is_finite() {
            Ok(value)
        } else {
            Err(Error::file_field(&self.path, name, "a finite number", value))
        }
    }

    /// One tensor's values as stored, row-major.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.look(name, <[u8]>::to_vec)
    }

    /// Shows one tensor's values as stored, row-major, in pieces of a few megabytes: `with(at, piece)` is given the bytes from
    /// byte `at` of the tensor on.
    ///
    /// # Errors
    /// [`Error::FileField`] for a missing tensor, and whatever `with` returns.
    pub fn pieces(&self, name: &str, mut with: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<()> {
        match &self.found(name)?.place {
            Place::Dense(all) => {
                for from in all.clone().step_by(PIECE) {
                    let range = from..(from + PIECE).min(all.end);
                    with(from - all.start, &self.map[range.clone()])?;
                    release(&self.map, &range);
                }
                Ok(())
            }
            Place::Strided { .. } => self.look(name, |bytes| with(0, bytes)).unwrap_or(Ok(())),
        }
    }

    fn found(&self, name: &str) -> Result<&Stored> {
        let missing = || Error::file_field(&self.path, name, "a tensor of this name", "none");
        self.stored.get(name).ok_or_else(missing)
    }

    fn no_float(&self, name: &str, dtype: Dtype) -> Error {
        Error::file_field(&self.path, name, "type F32, F16 or BF16", format!("{dtype:?}"))
    }

    fn check_finite(&self, name: &str, values: &[f32], first: usize) -> Result<()> {
        let Some(i) = first_not_finite(values) else { return Ok(()) };
        let found = format!("{} at index {}", values[i], first + i);
        Err(Error::file_field(&self.path, name, "finite values", found))
    }

    /// Shows a tensor's bytes, row-major, and releases their pages.
    fn look<T>(&self, name: &str, with: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let Stored { dtype, shape, place } = self.stored.get(name)?;
        let (range, seen) = match place {
            Place::Dense(range) => (range, with(self.map.get(range.clone())?)),
            Place::Strided { bytes, strides } => {
                let values = gather(self.map.get(bytes.clone())?, dtype.bitsize() / 8, shape, strides)?;
                (bytes, with(&values))
            }
        };
        release(&self.map, range);
        Some(seen)
    }
}

/// Bytes shown at once by [`TensorFile::pieces`].
const PIECE: usize = 8 << 20;
/// The kernel maps the surroundings of a page too: 64 KiB around it, and since Linux 6.18 all of the folio of the page
/// cache that holds it, which has at most this many bytes and begins at a multiple of its size.
const FOLIO: usize = 2 << 20;
const AROUND: usize = 64 << 10;

/// Lets go of the pages of `range`; they are read from the file again when they are wanted again.
fn release(content: &Content, range: &Range<usize>) {
    let Content::Mapped(map) = content else { return };
    let from = range.start.saturating_sub(AROUND) / FOLIO * FOLIO;
    let to = (range.end + AROUND).next_multiple_of(FOLIO).min(map.len());
    if from < to {
        platform::release(map, from..to);
    }
}
