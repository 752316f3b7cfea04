//! Outputs, files and folders, that appear whole or not at all, whatever kills the process or cuts the power.
//!
//! An output is made under a hidden name beside its destination ([`Staged`]), written to the disk, and renamed. Where the system can
//! exchange two folders in one step, an old folder stands until the new one does; elsewhere it is moved aside first. The folder that
//! holds the output is written to the disk before the old content is removed.

mod staged;

use std::fs::File;
use std::io::Write;
use std::path::Path;

pub use staged::Staged;

use crate::{Error, Result};

/// What to do with an output that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Existing {
    /// It is an error.
    Refuse,
    /// It is replaced once the new one is whole: a file by a file, a folder by a folder if all it holds has the names of what the new
    /// one holds. Of a symbolic link to such an output the link is replaced; what it leads to stays.
    Replace,
}

impl Existing {
    /// [`Existing::Replace`] when asked to, [`Existing::Refuse`] otherwise.
    pub fn replaced_if(asked: bool) -> Self {
        if asked { Self::Replace } else { Self::Refuse }
    }

    /// Refuses a destination that is taken, unless it may be replaced; to be asked before long work begins.
    ///
    /// # Errors
    /// [`Error::Exists`].
    pub fn check(self, destination: &Path) -> Result<()> {
        match self {
            Self::Refuse if destination.symlink_metadata().is_ok() => {
                Err(Error::Exists { path: destination.to_path_buf() })
            }
            _ => Ok(()),
        }
    }
}

/// Writes a folder by `fill`, which is given an empty one to write to; after an error of `fill` nothing is left but the folders around,
/// which are made where they are missing.
///
/// ```
/// use grouping_core::files::output::{Existing, write_folder};
///
/// # let beside = tempfile::tempdir()?;
/// let out = beside.path().join("out");
/// let fill = |folder: &std::path::Path| std::fs::write(folder.join("a.txt"), "a").map_err(Box::<dyn std::error::Error>::from);
/// write_folder(&out, Existing::Refuse, fill)?;
/// assert_eq!(std::fs::read_to_string(out.join("a.txt"))?, "a");
/// assert!(write_folder(&out, Existing::Refuse, fill).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`Staged::folder`] and [`Staged::commit`]: [`Error::Exists`] for a destination that is taken and not to be replaced,
/// [`Error::File`] for something else than an output to replace, [`Error::Io`] from the system; and whatever `fill` returns.
pub fn write_folder<E: From<Error>>(
    destination: &Path,
    existing: Existing,
    fill: impl FnOnce(&Path) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let staged = Staged::folder(destination, existing)?;
    fill(staged.path())?;
    Ok(staged.commit()?)
}

/// Writes a file by `fill`, which is given it open and empty; after an error of `fill` nothing is left, as with [`write_folder`].
///
/// # Errors
/// As [`write_folder`].
pub fn write_file<E: From<Error>>(
    destination: &Path,
    existing: Existing,
    fill: impl FnOnce(File) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let (staged, file) = Staged::file(destination, existing)?;
    fill(file)?;
    Ok(staged.commit()?)
}

/// Writes a file of `text`.
///
/// # Errors
/// As [`write_folder`].
pub fn write_text(destination: &Path, existing: Existing, text: &str) -> Result<()> {
    write_file(destination, existing, |mut file| {
        file.write_all(text.as_bytes()).map_err(Error::file(destination, "write"))
    })
}
