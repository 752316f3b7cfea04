//! `kd_gqa.json`: what the shapes of tensors do not say, kept in a header's metadata and beside the weights.
//!
//! `{"n_heads":8,"head_dim":16,"layers":[{"groups":[2,1,3,2]},…]}`: the number of query heads, their length, and for each layer how
//! many consecutive query heads share each key/value head. `"allocation"` is the state of the method that made the groups and may go on changing
//! them, where there is one ([`AllocationState`]). `"file"` names the file that a record beside it belongs to, where
//! the file itself has no place for it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use grouping_core::folder::{Existing, write_file};
use grouping_core::text::read_text;
use serde::{Deserialize, Serialize};

use crate::allocation::AllocationState;
use crate::{Error, Groups, Result};

/// Name of the file, and of the entry in a safetensors header.
pub const RECORD_FILE: &str = "kd_gqa.json";
/// A record of a thousand layers of a thousand heads is smaller than this.
const LIMIT: u64 = 16 << 20;

/// Heads and groups of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadsRecord {
    /// The number of query heads H.
    pub n_heads: usize,
    /// The length of a head.
    pub head_dim: usize,
    /// Each layer.
    pub layers: Vec<LayerRecord>,
    /// How the groups go on, if a method allocates them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<AllocationState>,
    /// The file that the record belongs to, if it is not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// Groups of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// The number of query heads of each key/value head.
    pub groups: Vec<usize>,
}

impl HeadsRecord {
    /// The record of these groups.
    pub fn new(head_dim: usize, groups: &[Groups]) -> Self {
        let layers = groups.iter().map(|groups| LayerRecord { groups: groups.sizes().to_vec() }).collect();
        Self {
            n_heads: groups.first().map_or(0, Groups::n_heads),
            head_dim,
            layers,
            allocation: None,
            file: None,
        }
    }

    /// The record of the groups in use of an allocation, and of its state.
    pub fn of_allocation(head_dim: usize, state: &AllocationState) -> Self {
        let groups: Vec<Groups> = (0..state.n_layers()).map(|layer| state.groups(layer).clone()).collect();
        Self { allocation: Some(state.clone()), ..Self::new(head_dim, &groups) }
    }

    /// Reads the text of a record; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::Format`] for text that is no record.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| {
            Error::format(
                path,
                RECORD_FILE,
                "{\"n_heads\":…,\"head_dim\":…,\"layers\":[{\"groups\":[…]},…]}",
                e,
            )
        })
    }

    /// Reads a record's file.
    ///
    /// # Errors
    /// [`Error::Core`] for a file that cannot be read, [`Error::Format`] for one that is no record.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &read_text(path, LIMIT)?)
    }

    /// Where the record of the file `path` is or would be: `kd_gqa.json` beside it, or where that is another file's,
    /// `NAME.kd_gqa.json`.
    pub fn place_beside(path: &Path) -> PathBuf {
        let name = file_name(path);
        let plain = path.with_file_name(RECORD_FILE);
        let is_of = |file: &Option<String>| file.as_ref().is_none_or(|file| Some(file) == name.as_ref());
        match Self::read(&plain) {
            Ok(record) if !is_of(&record.file) => {
                path.with_file_name(format!("{}.{RECORD_FILE}", name.unwrap_or_default()))
            }
            _ => plain,
        }
    }

    /// Whether the record says that it belongs to the file `path`.
    pub fn is_of(&self, path: &Path) -> bool {
        self.file.is_some() && self.file == file_name(path)
    }

    /// The record, said to belong to the file `path`.
    pub fn with_file(mut self, path: &Path) -> Self {
        self.file = file_name(path);
        self
    }

    /// Whether all groups of each layer have one size, which the shapes of tensors say too.
    pub fn is_uniform(&self) -> bool {
        self.layers.iter().all(|layer| layer.groups.windows(2).all(|pair| pair[0] == pair[1]))
    }

    /// The record as text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and names serialise")
    }

    /// Groups of each layer.
    ///
    /// # Errors
    /// [`Error::Groups`] for sizes that do not sum to the number of heads.
    pub fn groups(&self) -> Result<Vec<Groups>> {
        self.layers.iter().map(|layer| Groups::new(layer.groups.clone(), self.n_heads)).collect()
    }
}

/// Writes the weights `out` by `fill`, and where groups are unequal or allocated their record beside; both appear together or neither. A
/// record there that was `out`'s and says something else is removed.
///
/// # Errors
/// [`Error::Exists`] for what is there and not to be replaced, those of `fill`, and those of the system.
pub(crate) fn write_recorded(
    out: &Path,
    record: &HeadsRecord,
    existing: Existing,
    fill: impl FnOnce(File) -> Result<()>,
) -> Result<()> {
    let record_file = HeadsRecord::place_beside(out);
    let beside = !record.is_uniform() || record.allocation.is_some();
    let places = [Some(out), beside.then_some(record_file.as_path())];
    for place in places.into_iter().flatten().filter(|_| existing == Existing::Refuse) {
        if place.symlink_metadata().is_ok() {
            return Err(Error::Exists { path: place.to_path_buf() });
        }
    }
    if beside {
        // The record is in place once the weights are.
        let text = record.clone().with_file(out).to_json() + "\n";
        return write_file(&record_file, existing, |mut file| {
            file.write_all(text.as_bytes()).map_err(Error::io(&record_file, "write"))?;
            write_file(out, existing, fill)
        });
    }
    write_file(out, existing, fill)?;
    if HeadsRecord::read(&record_file).is_ok_and(|record| record.is_of(out)) {
        fs::remove_file(&record_file).map_err(Error::io(&record_file, "remove"))?;
    }
    Ok(())
}

fn file_name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}
