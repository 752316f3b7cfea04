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
    /// `.splat` of antimatter15: 32 bytes a Gaussian, without spherical harmonics.
    Splat,
    /// `.ksplat` of GaussianSplats3D, which is read only.
    Ksplat,
    /// `.spz` of Niantic.
    Spz,
    /// `.sog` of PlayCanvas, version 2.
    Sog,
    /// A binary glTF with the extension `KHR_gaussian_splatting`.
    Glb,
}

impl Format {
    /// Those that are written, with their extensions; a longer extension stands before its end.
    const WRITTEN: [(&'static str, Self); 6] = [
        (".compressed.ply", Self::CompressedPly),
        (".ply", Self::Ply),
        (".splat", Self::Splat),
        (".spz", Self::Spz),
        (".sog", Self::Sog),
        (".glb", Self::Glb),
    ];

    /// How files of a format begin.
    const STARTS: [(&'static [u8], Self); 4] =
        [(b"NGSP", Self::Spz), (b"\x1f\x8b", Self::Spz), (b"PK\x03\x04", Self::Sog), (b"glTF", Self::Glb)];

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
        if let Some((_, format)) = Self::STARTS.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Ok(*format);
        }
        // These two have no magic number: a .ksplat a header that few others have, a .splat nothing.
        let is_named =
            |extension: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension));
        if is_named("ksplat") || super::ksplat::is_one(start) && !is_named("splat") {
            return Ok(Self::Ksplat);
        }
        if is_named("splat") {
            return Ok(Self::Splat);
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
            Self::Splat => "splat",
            Self::Ksplat => "ksplat",
            Self::Spz => "spz",
            Self::Sog => "sog",
            Self::Glb => "glb",
        }
    }
}
