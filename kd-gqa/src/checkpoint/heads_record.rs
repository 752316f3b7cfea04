//! `kd_gqa.json`: what the shapes of tensors do not say, kept in a header's metadata and beside the weights.
//!
//! `{"n_heads":8,"head_dim":16,"layers":[{"groups":[2,1,3,2]},…]}`: the number of query heads, their length, and for each layer how
//! many consecutive query heads share each key/value head. `"allocation"` is what the method that made the groups saved to go on changing them,
//! where there is one; only that method reads it ([`AllocationState::of`](crate::allocation::AllocationState::of)). `"vit"` are constants of a vision transformer that no tensor says ([`VitSettings`]).
//! `"file"` names the file that a record beside it belongs to, where the file itself has no place for it.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use grouping_core::files::output::{Existing, write_file};
use grouping_core::files::text::read_text;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::VitSettings;
use crate::{Error, Groups, Result};

/// Name of the file, and of the entry in a safetensors header.
pub const RECORD_FILE: &str = "kd_gqa.json";
/// A record of a thousand layers of a thousand heads, with the state of their allocation, is smaller than this.
const LIMIT: u64 = 16 << 20;

/// Heads and groups of a checkpoint. `A` is what a method saves with its groups: any JSON where it is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadsRecord<A = Value> {
    /// The number of query heads H.
    pub n_heads: usize,
    /// The length of a head.
    pub head_dim: usize,
    /// Each layer.
    pub layers: Vec<LayerRecord>,
    /// How the groups go on, if a method allocates them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<A>,
    /// Constants of a vision transformer.
    #[serde(default, skip_serializing_if = "VitSettings::is_empty")]
    pub vit: VitSettings,
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
            vit: VitSettings::default(),
            file: None,
        }
    }

    /// With what the method saves that made the groups, if one did.
    pub fn with_allocation<B>(self, allocation: Option<B>) -> HeadsRecord<B> {
        let Self { n_heads, head_dim, layers, vit, file, .. } = self;
        HeadsRecord { n_heads, head_dim, layers, allocation, vit, file }
    }

    /// Reads the text of a record; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::FileField`](grouping_core::Error::FileField) for text that is no record.
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
    /// [`Error::Core`] for a file that cannot be read, [`Error::FileField`](grouping_core::Error::FileField) for one that is no record.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &read_text(path, LIMIT)?)
    }

    /// Where the record of the file `path` may lie beside it: `NAME.kd_gqa.json`, or `kd_gqa.json` where that names the file.
    fn places_beside(path: &Path) -> [PathBuf; 2] {
        let own = format!("{}.{RECORD_FILE}", file_name(path).unwrap_or_default());
        [path.with_file_name(own), path.with_file_name(RECORD_FILE)]
    }

    /// The record of the file `path` that lies beside it, and where.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub fn beside(path: &Path) -> Result<Option<(PathBuf, Self)>> {
        let [own, plain] = Self::places_beside(path);
        for (place, is_own) in [(own, true), (plain, false)].into_iter().filter(|(place, _)| place.exists()) {
            let record = Self::read(&place)?;
            // The name of its own says whose it is, too.
            if record.is_of(path) || is_own && record.file.is_none() {
                return Ok(Some((place, record)));
            }
        }
        Ok(None)
    }

    /// The record of the checkpoint `path` outside its tensors' files, and where: in a folder, or beside a file.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub(crate) fn of_checkpoint(path: &Path) -> Result<Option<(PathBuf, Self)>> {
        if !path.is_dir() {
            return Self::beside(path);
        }
        let place = path.join(RECORD_FILE);
        if place.exists() { Self::read(&place).map(|record| Some((place, record))) } else { Ok(None) }
    }

    /// Where the record of the file `path` is written: where it lies, else `kd_gqa.json` beside it unless something else has this name.
    fn place_to_write(path: &Path) -> PathBuf {
        let [own, plain] = Self::places_beside(path);
        match Self::beside(path) {
            Ok(Some((place, _))) => place,
            _ if plain.exists() => own,
            _ => plain,
        }
    }
}

impl<A: Serialize> HeadsRecord<A> {
    /// With constants of a vision transformer.
    pub fn with_vit(mut self, vit: VitSettings) -> Self {
        self.vit = vit;
        self
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

    /// Groups of each layer; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::FileField`](grouping_core::Error::FileField) for sizes that do not sum to the number of heads.
    pub fn groups(&self, path: &Path) -> Result<Vec<Groups>> {
        let groups = self.layers.iter().enumerate().map(|(i, LayerRecord { groups })| {
            Groups::new(groups.clone(), self.n_heads).map_err(|_| {
                let expected = format!("sizes that sum to {}", self.n_heads);
                Error::format(path, format!("layers[{i}].groups"), expected, format!("{groups:?}"))
            })
        });
        groups.collect()
    }
}

/// Where a file of weights keeps its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// In its header; beside it too where groups are unequal, for those who look there.
    Within,
    /// Beside it alone, where its own header does not say all.
    Beside,
}

/// Writes the weights `out` by `fill` and, where it has to lie there, their record beside once they are in place. Records of other groups
/// that lay there are removed.
///
/// # Errors
/// [`Error::Exists`](grouping_core::Error::Exists) for what is there and not to be replaced, those of `fill`, and those of the system.
pub(crate) fn write_recorded<A: Clone + Serialize>(
    out: &Path,
    record: &HeadsRecord<A>,
    keeps: Keeps,
    existing: Existing,
    fill: impl FnOnce(File) -> Result<()>,
) -> Result<()> {
    let place = <HeadsRecord>::place_to_write(out);
    let beside = !record.is_uniform() || keeps == Keeps::Beside && record.allocation.is_some();
    let places = [Some(out), beside.then_some(place.as_path())];
    places.into_iter().flatten().try_for_each(|place| existing.check(place))?;
    if beside {
        let text = record.clone().with_file(out).to_json() + "\n";
        return write_file(&place, existing, |mut file| {
            file.write_all(text.as_bytes()).map_err(Error::io(&place, "write"))?;
            write_file(out, existing, fill)
        });
    }
    write_file(out, existing, fill)?;
    while let Ok(Some((old, _))) = <HeadsRecord>::beside(out) {
        fs::remove_file(&old).map_err(Error::io(&old, "remove"))?;
    }
    Ok(())
}

fn file_name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}
