//! Weights of a base model: safetensors in one file, or in a folder of several, with or without an index.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use grouping_core::matrix::Matrix;
use serde::Deserialize;

use crate::adapter::{Tensor, Tensors};
use crate::text::read_text;
use crate::{Error, Result};

/// An index of a million tensors is smaller than this.
const INDEX_LIMIT: u64 = 128 << 20;

/// A base model's weights, which stay in their files until one is asked for.
#[derive(Debug)]
pub struct BaseModel {
    path: PathBuf,
    shards: Vec<Tensors>,
    /// Shard of each tensor.
    places: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl BaseModel {
    /// Opens a safetensors file, or a folder of them; where there is an index the folder is read by it.
    ///
    /// # Errors
    /// [`Error::Io`] for files that cannot be read, [`Error::Format`] for damaged ones, or a folder without any.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let files = if path.is_dir() { files(path)? } else { vec![path.to_path_buf()] };
        let (mut shards, mut places) = (vec![], BTreeMap::new());
        for file in files {
            let shard = Tensors::open(&file)?;
            for name in shard.names() {
                if places.insert(name.to_string(), shards.len()).is_some() {
                    return Err(Error::format(&file, name, "a tensor in one shard", "it in two"));
                }
            }
            shards.push(shard);
        }
        Ok(Self { path: path.to_path_buf(), shards, places })
    }

    /// The weight of a module, flattened to two axes and, where it is stored so, transposed to `[d_out, d_in]`.
    pub(super) fn weight(&self, module: &str, shape: [usize; 2], transposed: bool) -> Result<Matrix> {
        let (name, shard) = self.find(module)?;
        let Tensor { shape: found, values } = self.shards[shard].decode(&self.path, name)?;
        let stored = if transposed { [shape[1], shape[0]] } else { shape };
        let flat = [found.first().copied().unwrap_or(0), found.iter().skip(1).product()];
        if flat != stored {
            let path = self.shards[shard].path().unwrap_or(&self.path);
            return Err(Error::format(path, name, format!("shape {stored:?}"), format!("{found:?}")));
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
    fn find(&self, module: &str) -> Result<(&str, usize)> {
        let wanted = format!("{module}.weight");
        if let Some((name, &shard)) = self.places.get_key_value(&wanted) {
            return Ok((name, shard));
        }
        let fits = |name: &&String| {
            let ends =
                |long: &str, short: &str| long.strip_suffix(short).is_some_and(|rest| rest.ends_with('.'));
            ends(name, &wanted)
                || (name.contains('.') && name.matches('.').count() > 1 && ends(&wanted, name))
        };
        let found: Vec<_> = self.places.keys().filter(fits).collect();
        match found.as_slice() {
            &[name] => Ok((name, self.places[name])),
            others => {
                let found = if others.is_empty() { "none".into() } else { format!("{others:?}") };
                Err(Error::format(&self.path, wanted, "one weight of this module", found))
            }
        }
    }
}

/// The safetensors of a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(Error::io(folder, "list"))? {
        let entry = entry.map_err(Error::io(folder, "list"))?;
        names.extend(entry.file_name().into_string());
    }
    let index = names.iter().find(|name| name.ends_with(".safetensors.index.json"));
    let files: BTreeSet<String> = match index {
        Some(index) => {
            let path = folder.join(index);
            let text = read_text(&path, INDEX_LIMIT)?;
            let index: Index = serde_json::from_str(&text)
                .map_err(|e| Error::format(&path, "weight_map", "names of tensors with their files", e))?;
            if let Some(odd) = index.weight_map.values().find(|file| !names.contains(*file)) {
                return Err(Error::format(&path, "weight_map", "files of this folder", odd));
            }
            index.weight_map.into_values().collect()
        }
        None => names.into_iter().filter(|name| name.ends_with(".safetensors")).collect(),
    };
    if files.is_empty() {
        return Err(Error::format(folder, "base model", "safetensors in the folder", "none"));
    }
    Ok(files.into_iter().map(|name| folder.join(name)).collect())
}
