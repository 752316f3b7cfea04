//! The tensors of one file, or of a folder of safetensors files, with or without an index.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::TensorFile;
use crate::files::model_config::INDEX_FILE;
use crate::files::text::read_text;
use crate::{Error, Result};

/// An index of a million tensors is smaller than this.
const INDEX_LIMIT: u64 = 128 << 20;

/// Tensors that lie in several files (shards), each name in one of them.
#[derive(Debug)]
pub struct TensorFolder {
    path: PathBuf,
    shards: Vec<TensorFile>,
    /// Shard of each tensor.
    places: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// An index and the file that it was read from.
type IndexFile = (PathBuf, Index);

impl TensorFolder {
    /// Opens a file as [`TensorFile::open`], or a folder of safetensors files; where there is an index (`*.safetensors.index.json`)
    /// the folder is read by it.
    ///
    /// # Errors
    /// [`Error::Io`] for files that cannot be read, [`Error::FileField`] for damaged ones, a tensor that is in two files or not
    /// in the file that the index names, and a folder without any; those of [`TensorFile::open`].
    pub fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Self::of(path, vec![TensorFile::open(path)?]);
        }
        let (files, index) = files(path)?;
        let shards = files.iter().map(|file| TensorFile::open(file)).collect::<Result<Vec<_>>>()?;
        let all = Self::of(path, shards)?;
        if let Some((file, Index { weight_map })) = index {
            let lies = |name: &str, shard: &str| {
                all.places.get(name).is_some_and(|&place| all.shards[place].path().ends_with(shard))
            };
            if let Some((name, shard)) = weight_map.iter().find(|(name, shard)| !lies(name, shard)) {
                return Err(Error::file_field(&file, name, format!("a tensor in {shard}"), "none"));
            }
        }
        Ok(all)
    }

    /// The tensors of these files; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::FileField`] for a tensor that is in two of them.
    pub fn of(path: &Path, shards: Vec<TensorFile>) -> Result<Self> {
        let mut places = BTreeMap::new();
        for (i, shard) in shards.iter().enumerate() {
            for name in shard.names() {
                if places.insert(name.to_string(), i).is_some() {
                    return Err(Error::file_field(shard.path(), name, "a tensor in one shard", "it in two"));
                }
            }
        }
        Ok(Self { path: path.to_path_buf(), shards, places })
    }

    /// The file or folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files.
    pub fn shards(&self) -> &[TensorFile] {
        &self.shards
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.places.keys().map(String::as_str)
    }

    /// The file that holds a tensor.
    pub fn shard_of(&self, name: &str) -> Option<&TensorFile> {
        self.places.get(name).map(|&shard| &self.shards[shard])
    }

    /// The file that holds a tensor that must be there.
    ///
    /// # Errors
    /// [`Error::FileField`] where none does.
    pub fn holder(&self, name: &str) -> Result<&TensorFile> {
        let missing = || Error::file_field(&self.path, name, "a tensor of this name", "none");
        self.shard_of(name).ok_or_else(missing)
    }

    /// Shape of one tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.shard_of(name)?.shape(name)
    }
}

/// The safetensors of a folder, and its index.
fn files(folder: &Path) -> Result<(Vec<PathBuf>, Option<IndexFile>)> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(Error::file(folder, "list"))? {
        let entry = entry.map_err(Error::file(folder, "list"))?;
        names.extend(entry.file_name().into_string());
    }
    // Transformers' own before any other, such as that of weights in another format's names.
    let of_model = names.get(INDEX_FILE);
    let index = of_model.or_else(|| names.iter().find(|name| name.ends_with(".safetensors.index.json")));
    let index = index.map(|name| read_index(folder.join(name))).transpose()?;
    let files: BTreeSet<&String> = match &index {
        Some((path, index)) => {
            if let Some((name, odd)) = index.weight_map.iter().find(|(_, file)| !names.contains(*file)) {
                return Err(Error::file_field(
                    path,
                    format!("weight_map.{name}"),
                    "a file of this folder",
                    odd,
                ));
            }
            if index.weight_map.is_empty() {
                return Err(Error::file_field(path, "weight_map", "tensors and their files", "none"));
            }
            index.weight_map.values().collect()
        }
        None => names.iter().filter(|name| name.ends_with(".safetensors")).collect(),
    };
    if files.is_empty() {
        return Err(Error::file_field(folder, "folder", "safetensors in the folder", "none"));
    }
    Ok((files.into_iter().map(|name| folder.join(name)).collect(), index))
}

fn read_index(path: PathBuf) -> Result<IndexFile> {
    let text = read_text(&path, INDEX_LIMIT)?;
    let index = serde_json::from_str(&text)
        .map_err(|e| Error::file_field(&path, "weight_map", "names of tensors with their files", e))?;
    Ok((path, index))
}
