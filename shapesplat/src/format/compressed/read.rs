//! Compressed PLY in: every Gaussian between the bounds of its chunk.

use std::path::Path;

use rayon::prelude::*;

use super::pack::{COEFFICIENTS, THREE, four, lerp, three, unpack_rotation};
use super::{BOUNDS, CHUNK, SH_C0, WORDS};
use crate::format::ply::header::{Element, Header};
use crate::format::ply::{Target, Wanted, check_count, gather, read_elements, split_comments};
use crate::format::source::Source;
use crate::splats::{REST, Splats};
use crate::{Error, Result};

/// Chunks that a thread takes at once.
const CHUNKS: usize = 16;
/// The logit of an alpha 10⁻⁶ away from 1.
const OPAQUE: f32 = 13.815_509;

/// Reads splats; notes say what of the file is not kept.
pub(crate) fn read(source: &Source<'_>, path: &Path, notes: &mut Vec<String>) -> Result<Splats> {
    let header = Header::parse(path, &source.start()?)?;
    let (i_vertex, vertex) = element(path, &header, "vertex")?;
    let (i_chunk, chunk) = element(path, &header, "chunk")?;
    let sh = header.find("sh").filter(|(_, sh)| !sh.properties.is_empty());
    for element in [Some(chunk), Some(vertex), sh.map(|(_, sh)| sh)].into_iter().flatten() {
        check_count(source, path, &header, element)?;
    }
    let n = vertex.count;
    if chunk.count < n.div_ceil(CHUNK) {
        let expected = format!("{} rows for {n} Gaussians", n.div_ceil(CHUNK));
        return Err(Error::format(path, "chunk", expected, chunk.count));
    }
    let n_bounds = if chunk.find("min_r").is_some() { 18 } else { 12 };
    let mut bounds = vec![vec![0.0f32; chunk.count]; n_bounds];
    let wanted = BOUNDS.iter().zip(&mut bounds).map(|(name, column)| {
        Ok(Wanted { index: property(path, chunk, name)?, target: Target::Float(column) })
    });
    gather(source, path, &header, i_chunk, wanted.collect::<Result<_>>()?)?;
    let used = n.div_ceil(CHUNK);
    if let Some((name, row)) = BOUNDS.iter().zip(&bounds).find_map(|(name, column)| {
        column[..used].iter().position(|value| !value.is_finite()).map(|row| (name, row))
    }) {
        return Err(Error::format(path, format!("chunk, row {row}, {name}"), "a finite number", "another"));
    }
    let mut words = std::array::from_fn::<_, 4, _>(|_| vec![0u32; n]);
    let wanted = WORDS.iter().zip(&mut words).map(|(name, column)| {
        Ok(Wanted { index: property(path, vertex, name)?, target: Target::U32(column) })
    });
    gather(source, path, &header, i_vertex, wanted.collect::<Result<_>>()?)?;
    let n_rest = sh.map_or(0, |(_, sh)| sh.properties.len());
    let mut splats = Splats::zeros(n, n_rest);
    if let Some((i_sh, sh)) = sh {
        if !REST[..4].contains(&n_rest) || sh.count != n {
            let expected = format!("{n} rows of 9, 24 or 45 properties");
            return Err(Error::format(path, "sh", expected, format!("{} rows of {n_rest}", sh.count)));
        }
        let wanted = splats.rest.iter_mut().enumerate().map(|(i, column)| {
            let index = property(path, sh, &format!("f_rest_{i}"))?;
            Ok(Wanted { index, target: Target::Coded(column, &COEFFICIENTS) })
        });
        gather(source, path, &header, i_sh, wanted.collect::<Result<_>>()?)?;
    }
    unpack(&bounds, &words, &mut splats);
    let of_splats = [Some(i_vertex), Some(i_chunk), header.find("sh").map(|(i_sh, _)| i_sh)];
    splats.elements =
        read_elements(source, path, &header, &of_splats.into_iter().flatten().collect::<Vec<_>>())?;
    for other in vertex.properties.iter().filter(|property| !WORDS.contains(&&*property.name)) {
        notes.push(format!("property {} of the packed Gaussians", other.name));
    }
    (splats.antialiased, splats.comments) = split_comments(header.comments);
    Ok(splats)
}

fn element<'a>(path: &Path, header: &'a Header, name: &str) -> Result<(usize, &'a Element)> {
    header.find(name).ok_or_else(|| Error::format(path, "header", format!("an element `{name}`"), "none"))
}

fn property(path: &Path, element: &Element, name: &str) -> Result<usize> {
    let place = element.find(name);
    place.ok_or_else(|| Error::format(path, element.name.clone(), format!("a property `{name}`"), "none"))
}

/// Unpacks all words, some chunks at a time, in parallel.
fn unpack(bounds: &[Vec<f32>], words: &[Vec<u32>; 4], splats: &mut Splats) {
    let Splats { positions, scales, rotations, opacities, dc, .. } = splats;
    let columns = positions.iter_mut().chain(scales).chain(rotations).chain([opacities]).chain(dc);
    let mut parts: Vec<_> = columns.map(|column| column.chunks_mut(CHUNKS * CHUNK)).collect();
    let mut works = Vec::new();
    for first in (0..words[0].len()).step_by(CHUNKS * CHUNK) {
        let columns: Vec<&mut [f32]> = parts.iter_mut().filter_map(Iterator::next).collect();
        works.push((first, columns));
    }
    works.into_par_iter().for_each(|(first, mut columns)| {
        for i in 0..columns[0].len() {
            let row = first + i;
            let chunk = row / CHUNK;
            let between = |column: usize, at: f64| lerp(bounds[column][chunk], bounds[column + 3][chunk], at);
            let fraction = |field: u32, greatest: u32| f64::from(field) / f64::from(greatest);
            let position = three(words[0][row]);
            let scale = three(words[2][row]);
            for axis in 0..3 {
                columns[axis][i] = between(axis, fraction(position[axis], THREE[axis]));
                columns[3 + axis][i] = between(6 + axis, fraction(scale[axis], THREE[axis]));
            }
            for (k, value) in unpack_rotation(words[1][row]).into_iter().enumerate() {
                columns[6 + k][i] = value;
            }
            let [r, g, b, alpha] = four(words[3][row]);
            columns[10][i] = LOGITS[alpha as usize];
            for (k, field) in [r, g, b].into_iter().enumerate() {
                let at = fraction(field, 255);
                let colour = if bounds.len() == 18 {
                    lerp_wide(bounds[12 + k][chunk], bounds[15 + k][chunk], at)
                } else {
                    at
                };
                columns[11 + k][i] = ((colour - 0.5) / SH_C0) as f32;
            }
        }
    });
}

fn lerp_wide(min: f32, max: f32, at: f64) -> f64 {
    f64::from(min) * (1.0 - at) + f64::from(max) * at
}

/// The logit of each byte of an alpha.
static LOGITS: std::sync::LazyLock<[f32; 256]> = std::sync::LazyLock::new(|| {
    std::array::from_fn(|byte| match byte {
        0 => -OPAQUE,
        255 => OPAQUE,
        byte => {
            let alpha = byte as f64 / 255.0;
            -(1.0 / alpha - 1.0).ln() as f32
        }
    })
});
