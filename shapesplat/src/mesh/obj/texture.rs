//! Textures of OBJ files, each read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grouping_core::image::{Orientation, read_image};
use image::RgbImage;

/// The images of a file, by path.
#[derive(Default)]
pub(super) struct Images {
    read: BTreeMap<PathBuf, Result<Arc<RgbImage>, String>>,
}

impl Images {
    /// The image `file`, relative to `folder`; of a path that leads from a root, only its last part counts, as it was another machine's.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn read(&mut self, folder: &Path, file: &str) -> Result<Arc<RgbImage>, String> {
        let is_rooted = file.starts_with('/') || file.as_bytes().get(1) == Some(&b':');
        let name = if is_rooted { file.rsplit('/').next().unwrap_or_default() } else { file };
        let path = folder.join(name);
        let read = || match read_image(&path, Orientation::Stored) {
            Ok(image) => Ok(Arc::new(image)),
            Err(error) => {
                Err(std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string))
            }
        };
        self.read.entry(path.clone()).or_insert_with(read).clone()
    }
}
