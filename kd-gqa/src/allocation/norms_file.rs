//! Key norms in a file: `{"norms": [[…], …], "cache": [[…], …]}`, a layer a row.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{AllocationConfig, Mt19937, allocate};
use crate::{Error, Groups, Result};

/// Most query heads that a file is read for.
pub const MAX_HEADS: usize = 64;

/// A file of 64 norms and caches in each of 2000 layers is smaller.
const MAX_BYTES: u64 = 8 << 20;

/// The norms and caches of every layer.
///
/// ```
/// use kd_gqa::allocation::{AllocationConfig, Method, NormsFile};
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("norms.json");
/// std::fs::write(&path, r#"{"norms": [[1, 2, 4], [3, 3]]}"#).unwrap();
/// let file = NormsFile::read(&path, 6)?;
/// let groups = file.allocate(&AllocationConfig::new(Method::Kdgqa))?;
/// assert_eq!(groups[0].sizes(), [1, 2, 3]);
/// assert_eq!(groups[1].sizes(), [3, 3]);
/// # Ok::<(), kd_gqa::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NormsFile {
    path: PathBuf,
    n_heads: usize,
    layers: Vec<LayerNorms>,
}

#[derive(Debug, Clone, PartialEq)]
struct LayerNorms {
    norms: Vec<f32>,
    cache: Vec<f32>,
}

impl NormsFile {
    /// Reads norms for `n_heads` query heads (at most [`MAX_HEADS`]), 1 to `n_heads` in each layer; without a cache it is zeros.
    /// Numbers beyond f32 are infinite.
    ///
    /// # Errors
    /// [`Error::Io`](grouping_core::Error::Io), [`Error::FileField`](grouping_core::Error::FileField), [`Error::Setting`](grouping_core::Error::Setting) for `n_heads`.
    pub fn read(path: &Path, n_heads: usize) -> Result<Self> {
        if !(1..=MAX_HEADS).contains(&n_heads) {
            return Err(Error::setting("n_heads", format!("1 to {MAX_HEADS}"), n_heads));
        }
        let mut text = vec![];
        let file = File::open(path).map_err(Error::io(path, "open"))?;
        file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(Error::io(path, "read"))?;
        if text.len() as u64 > MAX_BYTES {
            return Err(Error::format(path, "size", format!("at most {MAX_BYTES} bytes"), "more"));
        }
        let value: Value =
            serde_json::from_slice(&text).map_err(|e| Error::format(path, "content", "JSON", e))?;
        let fields = Fields { path, n_heads };
        Ok(Self { path: path.to_path_buf(), n_heads, layers: fields.layers(&value)? })
    }

    /// The groups of each layer, in order, the random numbers running on from one to the next.
    ///
    /// # Errors
    /// Those of [`allocate`]; what a layer's norms do not allow is [`Error::FileField`](grouping_core::Error::FileField) with its row.
    pub fn allocate(&self, config: &AllocationConfig) -> Result<Vec<Groups>> {
        let mut draws = Mt19937::new(config.seed);
        let rows = self.layers.iter().enumerate();
        rows.map(|(layer, LayerNorms { norms, cache })| {
            allocate(config, self.n_heads, norms, cache, &mut draws).map_err(|error| match error {
                Error::Allocation { method, expected, found } => {
                    let expected = format!("{expected} ({method}, {})", config.fidelity);
                    Error::format(&self.path, format!("norms[{layer}]"), expected, found)
                }
                other => other,
            })
        })
        .collect()
    }
}

struct Fields<'a> {
    path: &'a Path,
    n_heads: usize,
}

impl Fields<'_> {
    fn layers(&self, value: &Value) -> Result<Vec<LayerNorms>> {
        let object = value.as_object().ok_or_else(|| self.error("content", "an object", value))?;
        if let Some(name) = object.keys().find(|name| !["norms", "cache"].contains(&name.as_str())) {
            return Err(Error::format(self.path, name, "`norms` or `cache`", "another field"));
        }
        let norms = self.rows(object, "norms")?.ok_or_else(|| {
            Error::format(self.path, "norms", "a list of layers, each a list of norms", "none")
        })?;
        if norms.is_empty() {
            return Err(Error::format(self.path, "norms", "at least one layer", 0));
        }
        let caches = self.rows(object, "cache")?;
        if let Some(caches) = caches.as_ref().filter(|caches| caches.len() != norms.len()) {
            let expected = format!("as many layers as `norms` has, {}", norms.len());
            return Err(Error::format(self.path, "cache", expected, caches.len()));
        }
        let mut layers = vec![];
        for (layer, norms) in norms.into_iter().enumerate() {
            if norms.is_empty() || norms.len() > self.n_heads {
                let expected = format!("1 to {} norms, as there are {0} heads", self.n_heads);
                return Err(Error::format(self.path, format!("norms[{layer}]"), expected, norms.len()));
            }
            let cache = caches.as_ref().map_or_else(|| vec![0.0; norms.len()], |c| c[layer].clone());
            if cache.len() != norms.len() {
                let expected = format!("{} values, as in norms[{layer}]", norms.len());
                return Err(Error::format(self.path, format!("cache[{layer}]"), expected, cache.len()));
            }
            layers.push(LayerNorms { norms, cache });
        }
        Ok(layers)
    }

    fn rows(&self, object: &Map<String, Value>, name: &str) -> Result<Option<Vec<Vec<f32>>>> {
        let Some(value) = object.get(name) else { return Ok(None) };
        let rows = value.as_array().ok_or_else(|| self.error(name, "a list of layers", value))?;
        let row = |(layer, row): (usize, &Value)| {
            let values = row
                .as_array()
                .ok_or_else(|| self.error(format!("{name}[{layer}]"), "a list of numbers", row))?;
            let number = |(i, value): (usize, &Value)| match value.as_f64() {
                Some(number) if number >= 0.0 => Ok(number as f32),
                _ => Err(self.error(format!("{name}[{layer}][{i}]"), "a number of at least 0", value)),
            };
            values.iter().enumerate().map(number).collect()
        };
        rows.iter().enumerate().map(row).collect::<Result<_>>().map(Some)
    }

    fn error(&self, field: impl Into<String>, expected: &str, found: &Value) -> Error {
        let found = match found {
            Value::Array(items) => format!("a list of {}", items.len()),
            Value::Object(_) => "an object".into(),
            other => other.to_string().chars().take(40).collect(),
        };
        Error::format(self.path, field, expected, found)
    }
}
