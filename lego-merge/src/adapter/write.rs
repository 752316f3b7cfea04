//! Writing a safetensors file tensor by tensor, alone or in a PEFT folder, under a temporary name, then one rename.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use grouping_core::files::tensor_file::{Planned, TensorWriter, largest};
use tempfile::{NamedTempFile, TempDir};

use super::{Adapter, AdapterConfig, CONFIG_FILE, Existing, Output, TENSOR_FILE};
use crate::{Error, Result};

/// A file, or a folder with one, under construction. It lies beside its place under a temporary name, is removed when
/// dropped, and takes its place in [`Construction::finish`]. Tensors may be written in any order, from any thread.
#[derive(Debug)]
pub(crate) struct Construction {
    place: PathBuf,
    existing: Existing,
    beside: Beside,
    tensors: TensorWriter,
}

#[derive(Debug)]
enum Beside {
    Folder(TempDir),
    File(NamedTempFile),
}

impl Construction {
    /// Starts an output with these tensors, in this order, and these entries in its header.
    ///
    /// # Errors
    /// [`Error::Exists`] when the place is taken and nothing is to be replaced, [`Error::Io`] when it cannot be written.
    pub(crate) fn begin(
        output: &Output,
        tensors: &[Planned],
        metadata: BTreeMap<String, String>,
    ) -> Result<Self> {
        let (place, is_file) = (output.path(), output.is_file());
        check_free(place, output.existing(), is_file)?;
        let parent = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(Error::io(parent, "create"))?;
        let mut names = tempfile::Builder::new();
        names.prefix(".lego-merge-");
        let (beside, file) = if is_file {
            let made = names.tempfile_in(parent).map_err(Error::io(parent, "write in"))?;
            let file = made.as_file().try_clone().map_err(Error::io(made.path(), "open"))?;
            (Beside::File(made), file)
        } else {
            let folder = names.tempdir_in(parent).map_err(Error::io(parent, "write in"))?;
            for (name, text) in output.documents() {
                let path = folder.path().join(name);
                fs::write(&path, text).map_err(Error::io(&path, "write"))?;
            }
            let path = folder.path().join(TENSOR_FILE);
            (Beside::Folder(folder), File::create(&path).map_err(Error::io(&path, "create"))?)
        };
        let tensors = TensorWriter::safetensors(file, place, tensors, &metadata)?;
        Ok(Self { place: place.to_path_buf(), existing: output.existing(), beside, tensors })
    }

    /// Where the output will be.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Writes one tensor's values, each rounded once to the tensor's type.
    ///
    /// # Errors
    /// [`Error::Format`] when there is no such tensor, it has another length, or a value is beyond its type's range;
    /// [`Error::Io`] from the system.
    pub(crate) fn write(&self, name: &str, values: &[f32]) -> Result<()> {
        if let Some(dtype) = self.tensors.dtype(name)
            && let Some(value) = values.iter().find(|v| v.abs() > largest(dtype))
        {
            let expected = format!("values in the range of {dtype:?} (another --dtype has more)");
            return Err(Error::format(&self.place, name, expected, value));
        }
        Ok(self.tensors.write(name, values)?)
    }

    /// Writes one tensor's bytes.
    ///
    /// # Errors
    /// As [`Construction::write`].
    pub(crate) fn write_bytes(&self, name: &str, bytes: &[u8]) -> Result<()> {
        Ok(self.tensors.write_bytes(name, bytes)?)
    }

    /// Adds the configuration to a folder and puts the output in its place.
    ///
    /// # Errors
    /// [`Error::Exists`] when the place was taken meanwhile, [`Error::Io`] from the system.
    pub(crate) fn finish(self, config: Option<&AdapterConfig>) -> Result<()> {
        match self.beside {
            Beside::File(made) => {
                check_free(&self.place, self.existing, true)?;
                open_to_readers(made.path(), 0o644)?;
                let placed = match self.existing {
                    Existing::Replace => made.persist(&self.place),
                    Existing::Refuse => made.persist_noclobber(&self.place),
                };
                placed.map(|_| ()).map_err(|e| Error::io(&self.place, "rename to")(e.error))
            }
            Beside::Folder(folder) => {
                if let Some(config) = config {
                    write_config(folder.path(), config)?;
                }
                check_free(&self.place, self.existing, false)?;
                open_to_readers(folder.path(), 0o755)?;
                let made = folder.keep();
                let result = replace(&made, &self.place);
                if result.is_err() {
                    let _ = fs::remove_dir_all(&made);
                }
                result
            }
        }
    }
}

fn write_config(folder: &Path, config: &AdapterConfig) -> Result<()> {
    let path = folder.join(CONFIG_FILE);
    let mut text = serde_json::to_string_pretty(config)
        .map_err(|e| Error::format(&path, "configuration", "values that JSON can hold", e))?;
    text.push('\n');
    fs::write(&path, text).map_err(Error::io(&path, "write"))
}

/// What is temporary is private; an adapter is as readable as any other file of the user.
fn open_to_readers(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::io(path, "open"))
}

fn check_free(place: &Path, existing: Existing, is_file: bool) -> Result<()> {
    // Whoever opens the folder would read these tensors by another adapter's ranks and scales.
    if is_file && place.ends_with(TENSOR_FILE) && place.with_file_name(CONFIG_FILE).exists() {
        let expected = "the adapter's folder, or a file outside of it";
        return Err(Error::format(place, "output", expected, format!("its tensors beside {CONFIG_FILE}")));
    }
    let found = match fs::symlink_metadata(place) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io(place, "look at")(e)),
        Ok(_) if existing == Existing::Refuse => return Err(Error::Exists { path: place.to_path_buf() }),
        Ok(found) => found,
    };
    if is_file {
        if found.is_file() && Adapter::read(place).is_ok() {
            return Ok(());
        }
        return Err(Error::format(place, "output", "an adapter's file to replace", "something else"));
    }
    if found.is_dir() && holds_only_an_adapter(place) {
        return Ok(());
    }
    Err(Error::format(place, "output", "an adapter's folder to replace", "something else"))
}

/// What is replaced is an adapter (or an empty folder), never a folder that holds other things.
fn holds_only_an_adapter(folder: &Path) -> bool {
    const KNOWN: [&str; 5] = [CONFIG_FILE, TENSOR_FILE, "adapter_model.bin", "merge.json", "README.md"];
    fs::read_dir(folder).is_ok_and(|entries| {
        entries
            .into_iter()
            .all(|e| e.is_ok_and(|e| e.file_name().to_str().is_some_and(|n| KNOWN.contains(&n))))
    })
}

/// Renames `made` to `place`; what was there is kept until the new folder is in place.
fn replace(made: &Path, place: &Path) -> Result<()> {
    if place.exists() && swap(made, place) {
        return fs::remove_dir_all(made).map_err(Error::io(made, "remove"));
    }
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

/// Swaps two folders in one step, so that at no moment there is none at either place; `false` where that cannot be.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn swap(made: &Path, place: &Path) -> bool {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, made, CWD, place, RenameFlags::EXCHANGE).is_ok()
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn swap(_made: &Path, _place: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use grouping_core::files::tensor_file::Dtype;
    use grouping_core::testing::assert_refused;

    use super::*;

    #[test]
    fn an_output_given_up_halfway_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        for place in ["out", "out.safetensors"].map(|name| folder.path().join(name)) {
            let tensors = [("x", vec![2, 2]), ("y", vec![3])]
                .map(|(name, shape)| Planned::new(name, shape, Dtype::F16));
            let output = Output::new(&place);
            let construction =
                Construction::begin(&output, &tensors, BTreeMap::new()).expect("a place to write");
            construction.write("x", &[1.0; 4]).expect("writes");
            assert_refused(construction.write("y", &[1.0; 4]), "expected 3 values, found 4");
            assert_refused(construction.write("z", &[1.0; 4]), "a tensor announced in the header");
            assert_refused(construction.write("y", &[1e6; 3]), "values in the range of F16");
            drop(construction);
            assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left");
        }
    }
}
