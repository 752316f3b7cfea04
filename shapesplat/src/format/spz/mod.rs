//! `.spz` of Niantic, versions 1 to 4: about a tenth of a PLY (github.com/nianticlabs/spz).
//!
//! Versions 1 to 3 are one gzip stream: a header of 16 bytes, then positions, alphas, colours, scales, rotations and coefficients, each
//! for all Gaussians. Version 4 is a header of 32 bytes, records of extensions, a table of contents, and the same six columns as zstd
//! streams of their own; a column of no byte has no stream.
//!
//! | column | bytes | value |
//! |---|---|---|
//! | position | 3 × 3 | `v · 2^bits`, signed, 24 bits (version 1: three half floats) |
//! | alpha | 1 | `255 · sigmoid` |
//! | colour | 3 | `0.15 · 255 · dc + 127.5` |
//! | scale | 3 | `16 · (ln s + 10)` |
//! | rotation | 4 | the three smallest of x, y, z, w (versions 1 and 2: x, y, z in 3 bytes, w ≥ 0) |
//! | coefficients | 3 a coefficient | `128 · v + 128`, red, green, blue of the first, then of the second …, rounded to a few bits |
//!
//! The values are not turned, as in splat-transform, gaussforge and Niantic's own converters. A version 4 file can name its frame by the
//! extension `SPZ_ADOBE_coordinate_system`; then what is read is turned into that of PLY (RDF) where that is a half turn, and refused
//! where it is a mirror image or a quarter turn. Other extensions say nothing of Gaussians and are skipped; the withdrawn
//! `SPZ_ADOBE_sh_quantization`, which does, is refused.
//!
//! Positions beyond 24 bits take fewer fractional bits (Niantic's writer wraps them); where those are fixed they are refused.

mod container;
mod extension;
mod pack;
mod rotation;
#[cfg(test)]
mod tests;
mod unpack;

use std::io::Write;
use std::path::Path;

use super::bounds::refuse_none;
use super::dropped::dropped;
use super::{WriteOptions, Written};
use crate::{Error, Result, Splats};

/// Versions that are written.
const WRITTEN_VERSIONS: std::ops::RangeInclusive<u32> = 2..=4;

/// Reads a `.spz`; extensions that are skipped and a frame that is left are told in `notes`.
///
/// # Errors
/// A file that is truncated or damaged; another version than 1 to 4; more Gaussians than a file of this size can hold; an extension that
/// changes the meaning of the columns.
pub(crate) fn read(bytes: &[u8], path: &Path, notes: &mut Vec<String>) -> Result<Splats> {
    container::read(bytes, path, notes)
}

/// Writes a `.spz` of the options' version.
///
/// # Errors
/// Another version than 2 to 4; positions that are not finite, or beyond 24 bits where the fractional bits are set;
/// no Gaussian at all.
pub(crate) fn write(splats: &Splats, options: &WriteOptions, out: &mut dyn Write) -> Result<Written> {
    let version = options.spz_version;
    if !WRITTEN_VERSIONS.contains(&version) {
        return Err(Error::setting("spz_version", "2, 3 or 4", version));
    }
    refuse_none(splats, ".spz")?;
    let highest = if version == 4 { 4 } else { 3 };
    let degree = splats.degree().min(highest);
    let positions = pack::Fixed::choose(splats, options.spz_fractional_bits)?;
    let mut dropped = dropped(splats, &format!(".spz version {version}"), highest, true);
    dropped.extend(positions.said());
    let header = container::Header {
        version,
        n: u32::try_from(splats.len())
            .map_err(|_| Error::setting("splats", "at most 2³² − 1 Gaussians in a .spz", splats.len()))?,
        degree: degree as u8,
        fractional_bits: positions.bits as u8,
        antialiased: splats.antialiased == Some(true),
    };
    let packer = pack::Packer { splats, version, degree, positions, sh_bits: options.spz_sh_bits };
    packer.check()?;
    let totals = container::write(&header, &packer, out)?;
    dropped.extend(totals.said());
    let mut written = Written { count: splats.len(), keeps_order: true, dropped, errors: Vec::new() };
    totals.add_to(&mut written);
    Ok(written)
}
