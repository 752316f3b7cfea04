//! A folder of labelled objects, in the layout of ModelNet: `{class}/{train|test}/{class}_NNNN/model.obj`, with `model.mtl` and
//! `model.png` beside it, `manifest.json` with the labels, and `contact-sheet.png`.
//!
//! Numbers go on from `train` to `test`, as ModelNet's do. One object in five of each class, rounded down, is for tests.

use std::fs;
use std::path::Path;

use grouping_core::files::output::{Existing, Staged};
use grouping_core::image::{Captions, contact_sheet, write_png};
use grouping_core::seed::derive_seed;
use rayon::prelude::*;
use serde::Serialize;

use super::{Class, object, picture};
use crate::{Error, Result};

/// Most objects a class: their numbers have four digits.
const MOST: usize = 9999;
/// Objects a class on the contact sheet, and pixels of a side of each.
const SHOWN: usize = 8;
const SIDE: u32 = 96;

/// What a folder of objects holds; its `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dataset {
    /// The seed of everything.
    pub seed: u64,
    /// Names of the classes, in the order of labels.
    pub classes: Vec<&'static str>,
    /// All objects, class after class.
    pub objects: Vec<Object>,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Object {
    /// Its mesh, relative to the folder, with `/`.
    pub path: String,
    /// The name of its class.
    pub class: &'static str,
    /// The number of its class.
    pub label: usize,
    /// What it is for.
    pub split: Split,
    /// The seed that [`object`] makes it of.
    pub seed: u64,
    /// Vertices of the mesh.
    pub vertices: usize,
    /// Triangles of the mesh.
    pub faces: usize,
}

/// What an object is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "named after the folders")]
pub enum Split {
    Train,
    Test,
}

impl Split {
    /// The folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

impl Dataset {
    /// What [`Dataset::write`] makes: `per_class` objects of each class. Object `i` of a class is the same whatever `per_class` is.
    fn plan(per_class: usize, seed: u64) -> Vec<(Class, usize, Split, u64)> {
        let n_train = per_class - per_class / 5;
        let of_class = |class: Class| {
            let own = derive_seed(seed, class.label() as u64);
            (0..per_class).map(move |i| {
                let split = if i < n_train { Split::Train } else { Split::Test };
                (class, i, split, derive_seed(own, i as u64))
            })
        };
        Class::ALL.into_iter().flat_map(of_class).collect()
    }

    /// Makes the objects and writes the folder, whole or not at all. `progress` hears of each object, from any thread.
    ///
    /// # Errors
    /// No object or more than 9999 a class; a folder that exists or cannot be written.
    pub fn write(
        folder: &Path,
        per_class: usize,
        seed: u64,
        existing: Existing,
        progress: impl Fn() + Sync,
    ) -> Result<Self> {
        if !(1..=MOST).contains(&per_class) {
            return Err(Error::setting("per_class", format!("1 to {MOST} objects"), per_class));
        }
        let staged = Staged::folder(folder, existing)?;
        let made = Self::plan(per_class, seed).into_par_iter().map(|(class, i, split, seed)| {
            let mesh = object(class, seed);
            let name = class.name();
            let path = format!("{name}/{}/{name}_{:04}", split.name(), i + 1);
            let place = staged.path().join(&path);
            fs::create_dir_all(&place).map_err(grouping_core::Error::file(&place, "create"))?;
            mesh.write_obj(&place, "model")?;
            let shown = (i < SHOWN).then(|| picture(&mesh, SIDE));
            progress();
            let object = Object {
                path: format!("{path}/model.obj"),
                class: name,
                label: class.label(),
                split,
                seed,
                vertices: mesh.positions.len(),
                faces: mesh.triangles.len(),
            };
            Ok((object, shown))
        });
        let (objects, shown): (Vec<Object>, Vec<_>) = made.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let shown: Vec<_> = shown.into_iter().flatten().collect();
        let sheet = contact_sheet(&shown, per_class.min(SHOWN), Captions::None)?;
        write_png(&staged.path().join("contact-sheet.png"), &sheet, Existing::Refuse)?;
        let dataset = Self { seed, classes: Class::ALL.map(Class::name).to_vec(), objects };
        let text = serde_json::to_string_pretty(&dataset).expect("names and numbers are JSON");
        let file = staged.path().join("manifest.json");
        fs::write(&file, text + "\n").map_err(grouping_core::Error::file(&file, "write"))?;
        staged.commit()?;
        Ok(dataset)
    }
}
