//! Output folders that appear whole or not at all.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// What to do with an output that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is an error.
    Refuse,
    /// It is replaced once the new one is whole.
    Replace,
}

/// Fills a folder beside `destination` by `fill` and renames it into place; on an error nothing is left.
///
/// # Errors
/// [`Error::File`] when `destination` exists and is not to be replaced, or something cannot be written; and whatever `fill`
/// returns.
pub fn write_folder(
    destination: &Path,
    existing: Existing,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    if existing == Existing::Refuse && destination.symlink_metadata().is_ok() {
        return Err(Error::File { path: destination.to_owned(), reason: "the output exists already".into() });
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
    let filled = fill(&staging)
        .and_then(|()| std::fs::rename(&staging, destination).map_err(|e| fail(destination, e)));
    if filled.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_dir_all(&staging);
    }
    filled
}

/// Renames `staging` to `destination`, whose old content, if any, is removed afterwards.
fn put(staging: &Path, destination: &Path) -> Result<()> {
    let old = hidden_sibling(destination, "old")?;
    let replaced = destination.symlink_metadata().is_ok();
    if replaced {
        std::fs::rename(destination, &old).map_err(|e| fail(destination, e))?;
    }
    std::fs::rename(staging, destination).map_err(|e| fail(destination, e))?;
    if replaced {
        let removed = if old.is_dir() { std::fs::remove_dir_all(&old) } else { std::fs::remove_file(&old) };
        removed.map_err(|e| fail(&old, e))?;
    }
    Ok(())
}

fn hidden_sibling(destination: &Path, purpose: &str) -> Result<PathBuf> {
    let Some(name) = destination.file_name() else {
        return Err(Error::File {
            path: destination.to_owned(),
            reason: "expected the path of a folder".into(),
        });
    };
    let mut sibling = std::ffi::OsString::from(".");
    sibling.push(name);
    sibling.push(format!(".{}.{purpose}", std::process::id()));
    Ok(destination.with_file_name(sibling))
}

fn fail(path: &Path, e: std::io::Error) -> Error {
    Error::File { path: path.to_owned(), reason: e.to_string() }
}
