//! CIFAR-10 from an archive of image files: what calibrates, what chooses, and what tests a model trained elsewhere.
//!
//! The archive holds `cifar10-jpeg/{train,test}/<class>/<number>.jpg`. Calibration and choice take different training images, drawn from a seed and evenly from the
//! classes; the test images are taken whole.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use kd_gqa::{Error, Result};

/// No image of the archive is larger.
const LARGEST_IMAGE: u64 = 1 << 20;

/// How many images of each class are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Training images into `calibration/`.
    pub(crate) calibration: usize,
    /// Other training images into `validation/`.
    pub(crate) validation: usize,
    /// Test images into `test/`.
    pub(crate) test: usize,
}

/// Unpacks the chosen images of `archive` into `calibration/`, `validation/` and `test/` below `dir`, a folder a class.
///
/// # Errors
/// [`Error::Io`](grouping_core::Error::Io) or [`Error::FileField`](grouping_core::Error::FileField) for an archive that cannot be read or holds too few images.
pub(crate) fn unpack(archive: &Path, dir: &Path, shares: Shares, seed: u64) -> Result<()> {
    let chosen = choose(list(archive)?, archive, shares, seed)?;
    let mut n_written = 0;
    visit(archive, |name, entry| {
        let Some(target) = chosen.get(name) else { return Ok(()) };
        let path = dir.join(target);
        let folder = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
        let mut bytes = vec![];
        entry.take(LARGEST_IMAGE).read_to_end(&mut bytes).map_err(Error::io(archive, "read"))?;
        n_written += 1;
        std::fs::write(&path, bytes).map_err(Error::io(&path, "write"))
    })?;
    if n_written != chosen.len() {
        return Err(Error::format(archive, "images", chosen.len().to_string(), n_written));
    }
    Ok(())
}

/// Names of the images by split and class.
fn list(archive: &Path) -> Result<BTreeMap<(String, String), Vec<String>>> {
    let mut names: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    visit(archive, |name, _| {
        if let [_, split, class, _] = name.split('/').collect::<Vec<_>>()[..] {
            names.entry((split.into(), class.into())).or_default().push(name.into());
        }
        Ok(())
    })?;
    Ok(names)
}

/// Where each chosen image goes.
fn choose(
    names: BTreeMap<(String, String), Vec<String>>,
    archive: &Path,
    shares: Shares,
    seed: u64,
) -> Result<HashMap<String, PathBuf>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut chosen = HashMap::new();
    for ((split, class), mut images) in names {
        images.sort();
        let parts = match split.as_str() {
            "train" => vec![("calibration", shares.calibration), ("validation", shares.validation)],
            "test" => vec![("test", shares.test)],
            _ => continue,
        };
        if split == "train" {
            images.shuffle(&mut rng);
        }
        let wanted: usize = parts.iter().map(|part| part.1).sum();
        if images.len() < wanted {
            let expected = format!("{wanted} images of the class");
            return Err(Error::format(archive, format!("{split}/{class}"), expected, images.len()));
        }
        let mut images = images.into_iter();
        for (part, n) in parts {
            for name in images.by_ref().take(n) {
                let file = name.rsplit('/').next().unwrap_or_default().to_owned();
                chosen.insert(name, Path::new(part).join(&class).join(file));
            }
        }
    }
    if chosen.is_empty() {
        return Err(Error::format(
            archive,
            "images",
            "cifar10-jpeg/{train,test}/<class>/<number>.jpg",
            "none",
        ));
    }
    Ok(chosen)
}

/// Shows every file of the archive by its name; names that lead out of it are refused.
fn visit(archive: &Path, mut with: impl FnMut(&str, &mut dyn Read) -> Result<()>) -> Result<()> {
    let file = File::open(archive).map_err(Error::io(archive, "open"))?;
    let mut tar = tar::Archive::new(GzDecoder::new(file));
    for entry in tar.entries().map_err(Error::io(archive, "read"))? {
        let mut entry = entry.map_err(Error::io(archive, "read"))?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path().map_err(Error::io(archive, "read"))?.to_string_lossy().into_owned();
        if name.starts_with('/') || name.split('/').any(|part| part == "..") {
            return Err(Error::format(archive, "name", "a path within the archive", name));
        }
        with(&name, &mut entry)?;
    }
    Ok(())
}
