//! Formats of splat files: told apart by content on the way in and by extension on the way out.

mod activation;
mod blocks;
mod bounds;
mod compressed;
#[cfg(test)]
mod damaged;
mod dot_splat;
mod dropped;
mod glb;
mod half_turn;
mod kind;
mod ksplat;
mod ply;
mod report;
#[cfg(test)]
mod scenes;
mod sog;
mod source;
mod spz;
#[cfg(test)]
mod written;

use std::fs::File;
use std::path::Path;

use grouping_core::files::output::{Existing, write_file};

pub use kind::Format;
pub(crate) use report::ErrorSum;
pub use report::{PropertyError, Written};

use crate::splats::{Bad, Splats};
use crate::{Error, Result};
use source::Source;

/// Settings of writers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// The version of a `.spz`: 2 or 3 (gzip), or 4 (zstd).
    pub spz_version: u32,
    /// Fractional bits of positions in a `.spz`, at most 23; 12 where none are set, or as many as the furthest position leaves.
    pub spz_fractional_bits: Option<u32>,
    /// Bits of the coefficients of spherical harmonics in a `.spz`, 1 to 8: of degree 1, and of the degrees above.
    pub spz_sh_bits: [u32; 2],
}

impl Default for WriteOptions {
    /// Version 4 of `.spz`, with 5 and 4 bits of coefficients, as other writers.
    fn default() -> Self {
        Self { spz_version: 4, spz_fractional_bits: None, spz_sh_bits: [5, 4] }
    }
}

/// What was read from a file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Loaded {
    /// The Gaussians.
    pub splats: Splats,
    /// The format that the file was found to have.
    pub format: Format,
    /// Gaussians that were dropped for their values.
    pub n_dropped: usize,
    /// What of the file is not kept, in words: `digits of numbers that are longer than a float`.
    pub notes: Vec<String>,
}

/// Reads a splat file of any format; Gaussians that no file should hold are refused.
///
/// ```
/// use grouping_core::files::output::Existing;
/// use shapesplat::{Splats, format};
///
/// let one = || vec![0.5];
/// let splats = Splats {
///     positions: [one(), one(), one()],
///     scales: [one(), one(), one()],
///     rotations: [one(), one(), one(), one()],
///     opacities: one(),
///     dc: [one(), one(), one()],
///     ..Splats::default()
/// };
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("one.ply");
/// format::write(&splats, &path, Existing::Refuse, &format::WriteOptions::default())?;
/// assert_eq!(format::read(&path)?, splats);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Core`] for a file that cannot be read, is damaged, holds no splats, or holds a Gaussian with a value that is NaN, an infinite
/// position or a rotation of zeros.
pub fn read(path: &Path) -> Result<Splats> {
    Ok(load(path, Bad::Refuse)?.splats)
}

/// Reads positions, opacities, scales, rotations and colours of degree 0, and nothing else; of a PLY only these columns are looked at.
///
/// # Errors
/// As [`read`].
pub fn read_degree_0(path: &Path) -> Result<Splats> {
    let source = Source::open(path)?;
    if Format::of_content(path, &source.start()?)? == Format::Ply {
        let splats = ply::read(&source, path, ply::Columns::Degree0, &mut vec![])?;
        splats.check().map_err(|error| in_file(path, error))?;
        return Ok(splats);
    }
    let mut splats = read(path)?;
    splats.rest.clear();
    splats.extras.clear();
    splats.elements.clear();
    Ok(splats)
}

/// Reads a splat file of any format, and says what was found and left out.
///
/// # Errors
/// As [`read`]; what is done with Gaussians that no file should hold is a setting.
pub fn load(path: &Path, bad: Bad) -> Result<Loaded> {
    load_from(&Source::open(path)?, path, bad)
}

/// Reads the bytes of a splat file; `path` names it in errors, and tells formats apart that begin alike.
///
/// # Errors
/// As [`load`].
pub fn load_bytes(bytes: &[u8], path: &Path, bad: Bad) -> Result<Loaded> {
    load_from(&Source::Bytes(bytes), path, bad)
}

fn load_from(source: &Source<'_>, path: &Path, bad: Bad) -> Result<Loaded> {
    let format = Format::of_content(path, &source.start()?)?;
    let mut notes = Vec::new();
    let mut splats = match format {
        Format::Ply => ply::read(source, path, ply::Columns::All, &mut notes)?,
        Format::CompressedPly => compressed::read(source, path, &mut notes)?,
        Format::Splat => dot_splat::read(&source.whole()?, path)?,
        Format::Ksplat => ksplat::read(&source.whole()?, path)?,
        Format::Spz => spz::read(&source.whole()?, path, &mut notes)?,
        Format::Sog => sog::read(&source.whole()?, path)?,
        Format::Glb => glb::read(&source.whole()?, path)?,
    };
    let n_dropped = match bad {
        Bad::Keep => 0,
        Bad::Drop => {
            let before = splats.element_words();
            let n_dropped = splats.drop_bad();
            let reason = "it may refer to rows, some of which were dropped";
            notes.extend(splats.lost_elements(before).map(|words| format!("{words}: {reason}")));
            n_dropped
        }
        Bad::Refuse => {
            splats.check().map_err(|error| in_file(path, error))?;
            0
        }
    };
    Ok(Loaded { splats, format, n_dropped, notes })
}

/// Writes splats in the format that the extension names; the file appears whole or not at all.
///
/// # Errors
/// [`Error::Core`] for an extension that is not known, an output that exists and is not to be replaced, or the system's refusal;
/// [`Error::Value`] for a Gaussian that no file should hold, unless the format is PLY, which holds any value.
pub fn write(splats: &Splats, path: &Path, existing: Existing, options: &WriteOptions) -> Result<Written> {
    let format = Format::of_extension(path)?;
    existing.check(path)?;
    splats.check_shape()?;
    if format != Format::Ply {
        splats.check()?;
    }
    let mut written = Written::default();
    write_file(path, existing, |mut file: File| {
        written = match format {
            Format::Ply => ply::write(splats, options, &mut file),
            Format::CompressedPly => compressed::write(splats, options, &mut file),
            Format::Splat => dot_splat::write(splats, &mut file),
            Format::Spz => spz::write(splats, options, &mut file),
            Format::Sog => sog::write(splats, &mut file),
            Format::Glb => glb::write(splats, &mut file),
            // No name asks for it.
            Format::Ksplat => Err(Error::format(path, "extension", "a format that is written", ".ksplat")),
        }
        .map_err(|error| named(path, error))?;
        Ok::<(), Error>(())
    })?;
    Ok(written)
}

/// What a writer of a stream says without a path.
pub(crate) fn stream(error: std::io::Error) -> Error {
    grouping_core::Error::file(Path::new(""), "write")(error).into()
}

/// The error of a stream, with the file that it was.
fn named(path: &Path, error: Error) -> Error {
    match error {
        Error::Core(grouping_core::Error::Io { path: unnamed, action, source })
            if unnamed.as_os_str().is_empty() =>
        {
            grouping_core::Error::Io { path: path.to_path_buf(), action, source }.into()
        }
        other => other,
    }
}

/// A value that no file should hold, with the file that holds it.
fn in_file(path: &Path, error: Error) -> Error {
    match error {
        Error::Value { row, column, expected, found } => {
            Error::format(path, format!("row {row}, {column}"), expected, found)
        }
        other => other,
    }
}
