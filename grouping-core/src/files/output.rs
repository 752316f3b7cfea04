//! Outputs, folders and single files, that appear whole or not at all.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// What to do with an output that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Existing {
    /// It is an error.
    Refuse,
    /// It is replaced once the new one is whole, if all it holds has the names of what the new one holds.
    Replace,
}

/// Fills a folder beside `destination` by `fill` and renames it into place; on an error nothing is left.
///
/// # Errors
/// [`Error::File`] when `destination` exists and is not to be replaced, or something cannot be written; and whatever `fill`
/// returns.
pub fn write_folder<E: From<Error>>(
    destination: &Path,
    existing: Existing,
    fill: impl FnOnce(&Path) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    if existing == Existing::Refuse && destination.symlink_metadata().is_ok() {
        return Err(Error::File { path: destination.to_owned(), reason: EXISTS.into() }.into());
    }
    let staging = hidden_sibling(destination, "new")?;
    if let Some(parent) = staging.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|e| fail(parent, e))?;
    }
    // Left behind by a process of the same number that was killed.
    if staging.exists() {
        std::fs::remove_dir_all(&staging).map_err(|e| fail(&staging, e))?;
    }
    std::fs::create_dir(&staging).map_err(|e| fail(&staging, e))?;
    let filled = fill(&staging).and_then(|()| put(&staging, destination).map_err(E::from));
    if filled.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_dir_all(&staging);
    }
    filled
}

/// Fills a file beside `destination` by `fill`, which is given it open and empty, and renames it into place; on an error nothing is
/// left. What is replaced is a file, never anything else.
///
/// # Errors
/// [`Error::File`] when `destination` exists and is not to be replaced, or cannot be written; and whatever `fill` returns.
pub fn write_file<E: From<Error>>(
    destination: &Path,
    existing: Existing,
    fill: impl FnOnce(File) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let refuse = |reason: &str| Error::File { path: destination.to_owned(), reason: reason.to_owned() };
    match destination.symlink_metadata() {
        Ok(_) if existing == Existing::Refuse => return Err(refuse(EXISTS).into()),
        Ok(found) if !found.is_file() => {
            return Err(refuse("expected a file to replace, found something else").into());
        }
        _ => {}
    }
    let parent = destination.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(|e| fail(parent, e))?;
    // What is temporary is private; the output is as readable as any other file of the user.
    let made = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(parent)
        .map_err(|e| fail(parent, e))?;
    fill(made.as_file().try_clone().map_err(|e| fail(destination, e))?)?;
    let placed = match existing {
        Existing::Refuse => made.persist_noclobber(destination),
        Existing::Replace => made.persist(destination),
    };
    placed.map(|_| ()).map_err(|e| fail(destination, e.error).into())
}

const EXISTS: &str = "the output exists already";

/// Renames `staging` to `destination`, whose old content, if any, is removed afterwards.
fn put(staging: &Path, destination: &Path) -> Result<()> {
    let old = hidden_sibling(destination, "old")?;
    let replaced = destination.symlink_metadata().is_ok();
    if replaced {
        let found = entries(destination)?;
        if let Some(other) = found.difference(&entries(staging)?).next() {
            let reason = format!("expected an output to replace, found a folder that holds {other:?}");
            return Err(Error::File { path: destination.to_owned(), reason });
        }
        std::fs::rename(destination, &old).map_err(|e| fail(destination, e))?;
    }
    if let Err(e) = std::fs::rename(staging, destination) {
        if replaced {
            // The first error is the one to report.
            let _ = std::fs::rename(&old, destination);
        }
        return Err(fail(destination, e));
    }
    if replaced {
        std::fs::remove_dir_all(&old).map_err(|e| fail(&old, e))?;
    }
    Ok(())
}

fn entries(dir: &Path) -> Result<BTreeSet<OsString>> {
    let names = std::fs::read_dir(dir).map_err(|e| fail(dir, e))?;
    names.map(|entry| entry.map(|entry| entry.file_name()).map_err(|e| fail(dir, e))).collect()
}

fn hidden_sibling(destination: &Path, purpose: &str) -> Result<PathBuf> {
    let Some(name) = destination.file_name() else {
        return Err(Error::File {
            path: destination.to_owned(),
            reason: "expected the path of a folder".into(),
        });
    };
    let mut sibling = OsString::from(".");
    sibling.push(name);
    sibling.push(format!(".{}.{purpose}", std::process::id()));
    Ok(destination.with_file_name(sibling))
}

fn fail(path: &Path, e: std::io::Error) -> Error {
    Error::File { path: path.to_owned(), reason: e.to_string() }
}
