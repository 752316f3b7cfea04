//! Writing a PEFT folder tensor by tensor: the header first, then every tensor at its place, then one rename.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::json;
use tempfile::TempDir;

use super::{AdapterConfig, CONFIG_FILE, TENSOR_FILE};
use crate::{Error, Result};

/// A folder under construction. It lies beside its place under a temporary name, is removed when dropped, and takes
/// its place in [`FolderWriter::finish`]. Tensors may be written in any order, from any thread.
#[derive(Debug)]
pub struct FolderWriter {
    place: PathBuf,
    force: bool,
    folder: TempDir,
    file: File,
    offsets: IndexMap<String, (u64, usize)>,
}

impl FolderWriter {
    /// Starts the folder `place` with `f32` tensors of the given names and shapes, in this order.
    ///
    /// # Errors
    /// [`Error::Exists`] when `place` is there and `force` is not set, [`Error::Io`] when it cannot be written.
    pub fn create(place: &Path, shapes: &[(String, Vec<usize>)], force: bool) -> Result<Self> {
        check_free(place, force)?;
        let mut header = IndexMap::from([("__metadata__".to_string(), json!({"format": "pt"}))]);
        let mut offsets = IndexMap::new();
        let mut end = 0u64;
        for (name, shape) in shapes {
            let len: usize = shape.iter().product();
            let to = end + 4 * len as u64;
            header.insert(name.clone(), json!({"data_offsets": [end, to], "dtype": "F32", "shape": shape}));
            offsets.insert(name.clone(), (end, len));
            end = to;
        }
        let mut text = serde_json::to_vec(&header)
            .map_err(|e| Error::format(place, "header", "names that JSON can hold", e))?;
        text.resize(text.len().next_multiple_of(8), b' ');
        let parent = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(Error::io(parent, "create"))?;
        let folder = tempfile::Builder::new()
            .prefix(".lego-merge-")
            .tempdir_in(parent)
            .map_err(Error::io(parent, "write in"))?;
        let path = folder.path().join(TENSOR_FILE);
        let mut file = File::create(&path).map_err(Error::io(&path, "create"))?;
        let start = 8 + text.len() as u64;
        let header = (text.len() as u64).to_le_bytes();
        file.write_all(&header)
            .and_then(|()| file.write_all(&text))
            .and_then(|()| file.set_len(start + end))
            .map_err(Error::io(&path, "write"))?;
        for (offset, _) in offsets.values_mut() {
            *offset += start;
        }
        Ok(Self { place: place.to_path_buf(), force, folder, file, offsets })
    }

    /// Writes one tensor's values.
    ///
    /// # Errors
    /// [`Error::Format`] when there is no such tensor or it has another length, [`Error::Io`] from the system.
    pub fn write(&self, name: &str, values: &[f32]) -> Result<()> {
        let path = self.place.join(TENSOR_FILE);
        let &(offset, len) = self
            .offsets
            .get(name)
            .ok_or_else(|| Error::format(&path, name, "a tensor announced in the header", "none"))?;
        if len != values.len() {
            return Err(Error::format(&path, name, format!("{len} values"), values.len()));
        }
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.file.write_all_at(&bytes, offset).map_err(Error::io(&path, "write"))
    }

    /// Adds the configuration and puts the folder in its place.
    ///
    /// # Errors
    /// [`Error::Exists`] when the place was taken meanwhile, [`Error::Io`] from the system.
    pub fn finish(self, config: &AdapterConfig) -> Result<()> {
        let path = self.folder.path().join(CONFIG_FILE);
        let mut text = serde_json::to_string_pretty(config)
            .map_err(|e| Error::format(&path, "configuration", "values that JSON can hold", e))?;
        text.push('\n');
        fs::write(&path, text).map_err(Error::io(&path, "write"))?;
        check_free(&self.place, self.force)?;
        open_to_readers(self.folder.path())?;
        let made = self.folder.keep();
        let result = replace(&made, &self.place);
        if result.is_err() {
            let _ = fs::remove_dir_all(&made);
        }
        result
    }
}

/// Temporary folders are private; the adapter is as readable as any other file of the user.
fn open_to_readers(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(Error::io(folder, "open"))
}

fn check_free(place: &Path, force: bool) -> Result<()> {
    match fs::symlink_metadata(place) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io(place, "look at")(e)),
        Ok(_) if !force => Err(Error::Exists { path: place.to_path_buf() }),
        Ok(found) if found.is_dir() && holds_only_an_adapter(place) => Ok(()),
        Ok(_) => Err(Error::format(place, "output", "an adapter's folder to replace", "something else")),
    }
}

/// `--force` replaces an adapter (or an empty folder), never a folder that holds other things.
fn holds_only_an_adapter(folder: &Path) -> bool {
    const KNOWN: [&str; 3] = [CONFIG_FILE, TENSOR_FILE, "README.md"];
    fs::read_dir(folder).is_ok_and(|entries| {
        entries
            .into_iter()
            .all(|e| e.is_ok_and(|e| e.file_name().to_str().is_some_and(|n| KNOWN.contains(&n))))
    })
}

/// Renames `made` to `place`; what was there is kept until the new folder is in place.
fn replace(made: &Path, place: &Path) -> Result<()> {
    let old = made.with_extension("replaced");
    let had_old = place.exists();
    if had_old {
        fs::rename(place, &old).map_err(Error::io(place, "move aside"))?;
    }
    if let Err(e) = fs::rename(made, place) {
        if had_old {
            let _ = fs::rename(&old, place);
        }
        return Err(Error::io(place, "rename to")(e));
    }
    if had_old { fs::remove_dir_all(&old).map_err(Error::io(&old, "remove")) } else { Ok(()) }
}
