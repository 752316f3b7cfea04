//! A `.sog` becomes splats.

use std::path::Path;

use super::super::activation::logits_of_bytes;
use super::super::blocks;
use super::super::bounds::{COMPRESSED, plausible};
use super::archive::Archive;
use super::image::{self, Image};
use super::meta::{ANTIALIASED, Meta, Rest, VERSION};
use super::pixel::{LEFT_OUT, stretch, unpack_rotation};
use super::{COEFFICIENTS, ENTRIES_A_ROW, STEPS};
use crate::{Error, Result, Splats};

const META: &str = "meta.json";
/// Bytes that `meta.json` may have: three codebooks are some kilobytes.
const META_BYTES: u64 = 1 << 20;

/// Reads a `.sog`.
///
/// # Errors
/// A zip that is damaged or lacks a file, another version, images that are too small, too large or lossy, and indices beyond what they
/// index.
pub(crate) fn read(bytes: &[u8], path: &Path) -> Result<Splats> {
    let mut archive = Archive::open(bytes, path)?;
    let meta = meta(&archive.take(META, META_BYTES)?, path)?;
    plausible(path, "count", meta.count, bytes.len(), COMPRESSED)?;
    let n = usize::try_from(meta.count).unwrap_or(usize::MAX);
    let mut pixels = |name: &str| -> Result<Vec<[u8; 4]>> {
        Ok(image::read(name, &archive.take(name, image::most_bytes(n))?, n, path)?.pixels)
    };
    let [low, high] = [pixels(&meta.means.files[0])?, pixels(&meta.means.files[1])?];
    let (mins, maxs) = (meta.means.mins, meta.means.maxs);
    let positions = blocks::decode(n, |rows, columns| {
        for (slot, row) in rows.enumerate() {
            for (axis, column) in columns.iter_mut().enumerate() {
                let steps = f64::from(u16::from_le_bytes([low[row][axis], high[row][axis]]));
                column[slot] = stretch(mins[axis] + (maxs[axis] - mins[axis]) * (steps / STEPS)) as f32;
            }
        }
    });
    drop([low, high]);
    let quats = pixels(&meta.quats.files[0])?;
    if let Some((row, pixel)) = quats[..n].iter().enumerate().find(|(_, pixel)| pixel[3] < LEFT_OUT) {
        return Err(Error::format(path, format!("quats, row {row}"), "alpha from 252 to 255", pixel[3]));
    }
    let rotations = blocks::decode(n, |rows, columns| {
        for (slot, row) in rows.enumerate() {
            for (column, value) in columns.iter_mut().zip(unpack_rotation(quats[row])) {
                column[slot] = value as f32;
            }
        }
    });
    let scales = coded("scales", &pixels(&meta.scales.files[0])?, n, &meta.scales.codebook, path)?;
    let sh0 = pixels(&meta.sh0.files[0])?;
    let dc = coded("sh0", &sh0, n, &meta.sh0.codebook, path)?;
    let logits = logits_of_bytes();
    let opacities = sh0[..n].iter().map(|pixel| logits[usize::from(pixel[3])]).collect();
    let rest = match &meta.rest {
        None => Vec::new(),
        Some(rest) => palette(&mut archive, rest, n, path)?,
    };
    let antialiased = Some(meta.model.as_deref() == Some(ANTIALIASED));
    Ok(Splats { positions, scales, rotations, opacities, dc, rest, antialiased, ..Splats::default() })
}

fn meta(json: &[u8], path: &Path) -> Result<Meta> {
    let fail = |error: serde_json::Error| Error::format(path, META, "the description of a .sog", error);
    let value: serde_json::Value = serde_json::from_slice(json).map_err(fail)?;
    // Version 1 has no number, and other fields.
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(VERSION) => {}
        version => {
            let found = version.map_or("none, as in version 1".into(), |version| version.to_string());
            return Err(Error::format(path, "version", VERSION.to_string(), found));
        }
    }
    let meta: Meta = serde_json::from_value(value).map_err(fail)?;
    if let Some(model) = meta.model.as_deref().filter(|model| !["default", ANTIALIASED].contains(model)) {
        return Err(Error::format(path, "model", "`default` or `antialiased`", format!("`{model}`")));
    }
    Ok(meta)
}

/// The values of the first three channels' indices.
fn coded(name: &str, pixels: &[[u8; 4]], n: usize, codebook: &[f32], path: &Path) -> Result<[Vec<f32>; 3]> {
    let pixels = &pixels[..n];
    in_codebook(name, pixels, codebook, path)?;
    Ok(blocks::decode(n, |rows, columns| {
        for (slot, row) in rows.enumerate() {
            for (channel, column) in columns.iter_mut().enumerate() {
                column[slot] = codebook[usize::from(pixels[row][channel])];
            }
        }
    }))
}

fn in_codebook(name: &str, pixels: &[[u8; 4]], codebook: &[f32], path: &Path) -> Result<()> {
    let greatest = pixels.iter().flat_map(|pixel| &pixel[..3]).max().copied().unwrap_or(0);
    if usize::from(greatest) >= codebook.len() {
        let expected = format!("indices below the {} codes", codebook.len());
        return Err(Error::format(path, format!("{name}.codebook"), expected, greatest));
    }
    Ok(())
}

/// The coefficients above degree 0.
fn palette(archive: &mut Archive, rest: &Rest, n: usize, path: &Path) -> Result<Vec<Vec<f32>>> {
    let Some(&a_channel) = COEFFICIENTS.get(rest.bands).filter(|_| rest.bands > 0) else {
        return Err(Error::format(path, "shN.bands", "1 to 3", rest.bands));
    };
    // Labels have 16 bits.
    if !(1..=1 << 16).contains(&rest.count) {
        return Err(Error::format(path, "shN.count", "1 to 65536", rest.count));
    }
    let count = rest.count as usize;
    let name = &rest.files[0];
    let n_pixels = count.div_ceil(ENTRIES_A_ROW) * ENTRIES_A_ROW * a_channel;
    let content = archive.take(name, image::most_bytes(n_pixels))?;
    let Image { width, pixels: entries } = image::read(name, &content, n_pixels, path)?;
    if width != ENTRIES_A_ROW * a_channel {
        let expected = format!("a width of {}, as of degree {}", ENTRIES_A_ROW * a_channel, rest.bands);
        return Err(Error::format(path, name, expected, width));
    }
    // The entries lie one after another.
    let entries = &entries[..count * a_channel];
    in_codebook("shN", entries, &rest.codebook, path)?;
    let name = &rest.files[1];
    let labels = image::read(name, &archive.take(name, image::most_bytes(n))?, n, path)?.pixels;
    let label = |row: usize| usize::from(u16::from_le_bytes([labels[row][0], labels[row][1]]));
    if let Some(row) = (0..n).find(|&row| label(row) >= count) {
        let expected = format!("labels below the {count} entries of the palette");
        return Err(Error::format(path, format!("{name}, row {row}"), expected, label(row)));
    }
    Ok(blocks::decode_many(n, 3 * a_channel, |rows, columns| {
        for (slot, row) in rows.enumerate() {
            let entry = &entries[label(row) * a_channel..][..a_channel];
            for (i, column) in columns.iter_mut().enumerate() {
                let (channel, k) = (i / a_channel, i % a_channel);
                column[slot] = rest.codebook[usize::from(entry[k][channel])];
            }
        }
    }))
}
