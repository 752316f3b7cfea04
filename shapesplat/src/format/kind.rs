//! The formats, how files of them begin, and what their names end with.

use std::path::Path;

use crate::{Error, Result};

/// A format of splat files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A PLY of 3D Gaussian splatting, one property a value.
    Ply,
    /// PlayCanvas's compressed PLY: chunks of 256 Gaussians, 16 bytes each and a byte a coefficient.
    CompressedPly,
}

impl Format {
    /// Those that are written, with their extensions; a longer extension stands before its end.
    const WRITTEN: [(&'static str, Self); 2] =
        [(".compressed.ply", Self::CompressedPly), (".ply", Self::Ply)];

    /// The format that a file's name asks for.
    ///
    /// # Errors
    /// [`Error::Core`] for a name with another extension.
    pub fn of_extension(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let found =
            Self::WRITTEN.iter().find(|(extension, _)| name.ends_with(extension) && name != *extension);
        found.map(|(_, format)| *format).ok_or_else(|| {
            let all: Vec<_> = Self::WRITTEN.iter().map(|(extension, _)| *extension).collect();
            Error::format(path, "extension", all.join(", "), format!("`{name}`"))
        })
    }

    /// The format of a file that begins with `start`: a mebibyte of it, or all of a shorter one.
    ///
    /// # Errors
    /// [`Error::Core`] for a file that begins as none of them.
    pub fn of_content(path: &Path, start: &[u8]) -> Result<Self> {
        if super::ply::is_one(start) {
            return Ok(if super::ply::is_compressed(start) { Self::CompressedPly } else { Self::Ply });
        }
        let found: Vec<String> = start.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let found = if found.is_empty() { "an empty file".to_owned() } else { found.join(" ") };
        Err(Error::format(path, "first bytes", "a splat file", found))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ply => "ply",
            Self::CompressedPly => "compressed.ply",
        }
    }
}
