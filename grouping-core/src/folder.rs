//! Output folders that appear whole or not at all.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Fills a folder beside `destination` by `fill` and renames it into place; on an error nothing is left.
///
/// # Errors
/// [`Error::File`] when `destination` exists already or something cannot be written, and whatever `fill` returns.
pub fn write_folder(destination: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let fail = |path: &Path, e: std::io::Error| Error::File { path: path.to_owned(), reason: e.to_string() };
    if destination.symlink_metadata().is_ok() {
        return Err(Error::File { path: destination.to_owned(), reason: "the output exists already".into() });
    }
    let staging = staging_path(destination)?;
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

fn staging_path(destination: &Path) -> Result<PathBuf> {
    let Some(name) = destination.file_name() else {
        return Err(Error::File {
            path: destination.to_owned(),
            reason: "expected the path of a folder".into(),
        });
    };
    let mut staging = std::ffi::OsString::from(".");
    staging.push(name);
    staging.push(format!(".{}", std::process::id()));
    Ok(destination.with_file_name(staging))
}
