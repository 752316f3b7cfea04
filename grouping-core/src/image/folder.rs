//! A folder of images: a folder a class, in sorted order, or flat.

use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::file::FORMATS;
use crate::{Error, Result};

/// The kinds of files that are read.
const EXTENSIONS: [&str; 11] =
    ["png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "ppm", "pgm", "pbm", "pnm"];

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledImage {
    /// The file.
    pub path: PathBuf,
    /// Index of its class in [`ImageFolder::classes`]; 0 in a flat folder.
    pub class: usize,
}

/// The images of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFolder {
    dir: PathBuf,
    classes: Vec<String>,
    images: Vec<LabelledImage>,
}

impl ImageFolder {
    /// Lists the image files of `dir` by their names (`.png`, `.jpg`, `.webp` …, in any case): those of each subfolder, which is a class, or, where there are no subfolders, those in it.
    ///
    /// Classes and files are in the order of their names.
    ///
    /// # Errors
    /// [`Error::Io`] for a folder that cannot be read, [`Error::FileField`] for one without images.
    pub fn open(dir: &Path) -> Result<Self> {
        let entries = sorted(dir)?;
        let folders: Vec<&PathBuf> = entries.iter().filter(|path| path.is_dir()).collect();
        let (mut classes, mut images) = (vec![], vec![]);
        if folders.is_empty() {
            images.extend(
                entries.iter().filter(|p| is_image(p)).map(|p| LabelledImage { path: p.clone(), class: 0 }),
            );
        }
        for (class, folder) in folders.into_iter().enumerate() {
            classes.push(folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
            let files = sorted(folder)?.into_iter().filter(|path| is_image(path));
            images.extend(files.map(|path| LabelledImage { path, class }));
        }
        if images.is_empty() {
            let expected = format!("images ({FORMATS}), in a folder a class or flat");
            return Err(Error::file_field(dir, "images", expected, "none"));
        }
        Ok(Self { dir: dir.to_path_buf(), classes, images })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Names of the classes; none in a flat folder.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// All files, class after class.
    pub fn images(&self) -> &[LabelledImage] {
        &self.images
    }

    /// The first `n` files when one is taken of each class in turn; all, where there are fewer. Within a class, the order of names.
    pub fn first(&self, n: usize) -> Vec<LabelledImage> {
        in_turn(self.by_class(), n)
    }

    /// As [`first`](Self::first), but each class in an order of its own, drawn from `seed`.
    pub fn sample(&self, n: usize, seed: u64) -> Vec<LabelledImage> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut by_class = self.by_class();
        by_class.iter_mut().for_each(|images| images.shuffle(&mut rng));
        in_turn(by_class, n)
    }

    fn by_class(&self) -> Vec<Vec<&LabelledImage>> {
        let mut by_class = vec![vec![]; self.classes.len().max(1)];
        self.images.iter().for_each(|image| by_class[image.class].push(image));
        by_class
    }
}

/// The image files of `dir` and of all folders in it, by their names in any case, sorted by path.
///
/// # Errors
/// [`Error::Io`] for a folder that cannot be read.
pub fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in sorted(dir)? {
        // A link to a folder above would have no end.
        if path.is_dir() && !path.is_symlink() {
            files.extend(files_below(&path)?);
        } else if is_image(&path) {
            files.push(path);
        }
    }
    Ok(files)
}

fn in_turn(by_class: Vec<Vec<&LabelledImage>>, n: usize) -> Vec<LabelledImage> {
    let longest = by_class.iter().map(Vec::len).max().unwrap_or(0);
    let rounds = (0..longest).flat_map(|round| by_class.iter().filter_map(move |images| images.get(round)));
    rounds.take(n).map(|image| (*image).clone()).collect()
}

fn sorted(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).map_err(Error::file(dir, "read"))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(Error::file(dir, "read")))
        .collect::<Result<Vec<_>>>()?;
    paths.retain(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
    paths.sort();
    Ok(paths)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}
