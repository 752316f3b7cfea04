//! Where the parameters of a module come from: one safetensors file, or several that an index binds together.
//!
//! Files are memory-mapped and read tensor by tensor; f32, f16 and bf16 become f32. The index is Hugging Face's
//! `model.safetensors.index.json`: `{"weight_map": {"<tensor>": "<file>", …}}`, files beside it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use memmap2::Mmap;
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// Tensors by name.
pub trait TensorSource {
    /// The shape of the tensor `name` and its values, row-major, all finite.
    ///
    /// # Errors
    /// [`Error::File`] where there is none, or none of floats, [`Error::NotFinite`] where it holds NaN or infinity.
    fn read(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)>;

    /// The file that holds the tensor `name`, or should; for errors.
    fn path(&self, name: &str) -> &Path;
}

/// The tensors of safetensors files.
pub(crate) struct SafetensorsFiles {
    /// What errors about absent tensors name.
    main: PathBuf,
    files: Vec<MappedFile>,
    /// The file of each tensor.
    places: BTreeMap<String, usize>,
}

struct MappedFile {
    path: PathBuf,
    map: Mmap,
    metadata: Metadata,
    first_byte: usize,
}

impl SafetensorsFiles {
    /// All tensors of one file.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = MappedFile::open(path)?;
        let places = file.metadata.tensors().into_keys().map(|name| (name, 0)).collect();
        Ok(Self { main: path.to_owned(), files: vec![file], places })
    }

    /// The tensors that an index lists.
    pub(crate) fn open_index(path: &Path) -> Result<Self> {
        let mut places = BTreeMap::new();
        let mut numbers = BTreeMap::new();
        let mut files = Vec::new();
        for (name, file_name) in weight_map(path)? {
            let number = match numbers.get(&file_name) {
                Some(number) => *number,
                None => {
                    files.push(MappedFile::open(&path.with_file_name(&file_name))?);
                    numbers.insert(file_name, files.len() - 1);
                    files.len() - 1
                }
            };
            files[number].info(&name)?;
            places.insert(name, number);
        }
        Ok(Self { main: path.to_owned(), files, places })
    }

    /// The names of all tensors, sorted.
    pub(crate) fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }
}

/// The file name of each tensor.
fn weight_map(path: &Path) -> Result<BTreeMap<String, String>> {
    let fail = |reason: String| Error::File { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
    let index: Map<String, Value> = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
    let misfit = |field: String, expected: &str, found: String| Error::FileField {
        path: path.to_owned(),
        field,
        expected: expected.into(),
        found,
    };
    let entries = match index.get("weight_map") {
        Some(Value::Object(entries)) if !entries.is_empty() => entries,
        other => {
            let found = other.map_or_else(|| "nothing".into(), Value::to_string);
            return Err(misfit("weight_map".into(), "an object of tensors and their files", found));
        }
    };
    let place = |(name, file): (&String, &Value)| {
        // A name that is a path could reach outside the folder.
        let plain = |file: &&str| Path::new(file).file_name().is_some_and(|last| last == *file);
        match file.as_str().filter(plain) {
            Some(file) => Ok((name.clone(), file.to_owned())),
            None => {
                Err(misfit(format!("weight_map.{name}"), "the name of a file beside it", file.to_string()))
            }
        }
    };
    entries.iter().map(place).collect()
}

impl TensorSource for SafetensorsFiles {
    fn read(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        match self.places.get(name) {
            Some(number) => self.files[*number].read(name),
            None => Err(absent(&self.main, name)),
        }
    }

    fn path(&self, name: &str) -> &Path {
        self.places.get(name).map_or(&self.main, |number| &self.files[*number].path)
    }
}

fn absent(path: &Path, name: &str) -> Error {
    Error::File { path: path.to_owned(), reason: format!("expected a tensor `{name}`, found none") }
}

impl MappedFile {
    fn open(path: &Path) -> Result<Self> {
        let fail = |e: std::io::Error| Error::File { path: path.to_owned(), reason: e.to_string() };
        let file = File::open(path).map_err(fail)?;
        // SAFETY: the map is read only while this process holds it; as with every memory-mapped checkpoint, another
        // process that shortens the file meanwhile ends this one, and one that rewrites it changes the values read.
        let map = unsafe { Mmap::map(&file) }.map_err(fail)?;
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|e| Error::File {
            path: path.to_owned(),
            reason: format!("not a valid safetensors file: {e}"),
        })?;
        Ok(Self { path: path.to_owned(), map, metadata, first_byte: header + size_of::<u64>() })
    }

    fn info(&self, name: &str) -> Result<&safetensors::tensor::TensorInfo> {
        self.metadata.info(name).ok_or_else(|| absent(&self.path, name))
    }

    fn read(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let file_error = |reason: String| Error::File { path: self.path.clone(), reason };
        let info = self.info(name)?;
        let dtype = match info.dtype {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            other => {
                let reason = format!("tensor `{name}`: expected data type F32, F16 or BF16, found {other:?}");
                return Err(file_error(reason));
            }
        };
        let (from, to) = info.data_offsets;
        let bytes = self.map[self.first_byte + from..self.first_byte + to].to_vec();
        let data = TensorData::from_bytes_vec(bytes, info.shape.clone(), dtype);
        let values: Vec<f32> = data
            .convert::<f32>()
            .try_into_vec()
            .map_err(|e| file_error(format!("tensor `{name}`: {e:?}")))?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok((info.shape.clone(), values)),
            Some(index) => Err(Error::NotFinite {
                what: format!("{}: tensor `{name}`", self.path.display()),
                index,
                value: f64::from(values[index]),
            }),
        }
    }
}
