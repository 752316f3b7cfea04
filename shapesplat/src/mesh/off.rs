//! OFF of Geomview, as ModelNet and others write it: vertices, then faces as indices with colours.
//!
//! Header: `OFF`, with `C` (colours), `N` (normals) and `ST` (texture coordinates) before it; the counts stand on the next line, on the
//! same one, or glued to the keyword (as in ModelNet's faulty files). Comments and blank lines may stand anywhere. A vertex and a face
//! take a line each. Colours of three or four numbers are between 0 and 1 where none of the file's exceeds 1, and between 0 and 255
//! otherwise; an alpha is left out, and so is an index into Geomview's colour map.
//!
//! Deviation: `4OFF`, `nOFF` and `OFF BINARY`, which Geomview describes, are refused by name. So is a file without the keyword.

use std::path::Path;

use super::assembly::Assembly;
use super::lines::{Line, Lines, shown};
use super::note::left_out;
use super::{Mesh, Note};
use crate::{Error, Result};

/// A vertex is at least `0 0 0` and the end of its line, a face at least `0`.
const LEAST_VERTEX: usize = 6;
const LEAST_FACE: usize = 2;

/// What a vertex is made of.
#[derive(Clone, Copy, Default)]
struct Layout {
    normals: bool,
    colours: bool,
    uvs: bool,
}

/// Whether a file begins as an OFF.
pub(super) fn is_off(bytes: &[u8]) -> bool {
    let mut lines = Lines::new(Path::new(""), bytes.get(..4096).unwrap_or(bytes));
    lines.next_filled().is_some_and(|line| keyword(line.text).is_some())
}

/// The letters before `OFF`, and what follows it.
fn keyword(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.windows(3).take(6).position(|word| word == b"OFF")?;
    let prefix = &line[..at];
    let rest = &line[at + 3..];
    let is_prefix = prefix.iter().all(|b| b"STCN4n".contains(b));
    let is_end = rest.first().is_none_or(|b| b.is_ascii_whitespace() || b.is_ascii_digit());
    (is_prefix && is_end).then_some((prefix, rest))
}

/// Reads a file of which all bytes are given.
pub(super) fn read(bytes: &[u8], path: &Path) -> Result<(Mesh, Vec<Note>)> {
    let mut lines = Lines::new(path, bytes);
    let (layout, n_vertices, n_faces) = header(&mut lines)?;
    let rest = lines.rest().len();
    let fits = |n: usize, least: usize| n.checked_mul(least).is_some_and(|bytes| bytes <= rest + least);
    if !fits(n_vertices, LEAST_VERTEX) || !fits(n_faces, LEAST_FACE) {
        let found = format!("{n_vertices} vertices and {n_faces} faces in {rest} bytes");
        return Err(Error::format(path, "counts", "counts that the file can hold", found));
    }
    let mut assembly = Assembly::new(path);
    let mut colours = Colours::default();
    vertices(&mut lines, layout, n_vertices, &mut assembly, &mut colours)?;
    let scale = colours.scale();
    assembly.mesh.colours = colours.values.iter().map(|&colour| scale(colour)).collect();
    faces(&mut lines, n_faces, &mut assembly)?;
    let beyond = std::iter::from_fn(|| lines.next_filled()).count();
    left_out(&mut assembly.notes, "lines after the last face", beyond);
    assembly.finish()
}

/// The layout and the counts.
fn header(lines: &mut Lines<'_>) -> Result<(Layout, usize, usize)> {
    let mut line = lines.next_filled().ok_or_else(|| lines.ended("the keyword OFF"))?;
    let (prefix, rest) = keyword(line.text).ok_or_else(|| {
        line.misfit(
            "the keyword OFF",
            shown(line.text.split(u8::is_ascii_whitespace).next().unwrap_or_default()),
        )
    })?;
    let mut layout = Layout::default();
    let mut letters = prefix;
    while let [first, others @ ..] = letters {
        letters = others;
        match (first, others) {
            (b'S', [b'T', others @ ..]) => (layout.uvs, letters) = (true, others),
            (b'C', _) => layout.colours = true,
            (b'N', _) => layout.normals = true,
            _ => return Err(line.misfit("OFF of three dimensions", shown(&line.text[..prefix.len() + 3]))),
        }
    }
    let rest = rest.trim_ascii();
    if rest.starts_with(b"BINARY") {
        return Err(line.misfit("OFF as text", "`OFF BINARY`, which is not read"));
    }
    if rest.is_empty() {
        line = lines.next_filled().ok_or_else(|| lines.ended("the numbers of vertices and faces"))?;
    } else {
        line.text = rest;
    }
    let counts = line.words().map(|word| line.integer(word)).collect::<Result<Vec<usize>>>()?;
    match counts[..] {
        // The number of edges, which nobody needs, may be missing.
        [n_vertices, n_faces] | [n_vertices, n_faces, _] => Ok((layout, n_vertices, n_faces)),
        _ => {
            Err(line.misfit("the numbers of vertices, faces and edges", format!("{} numbers", counts.len())))
        }
    }
}

fn vertices(
    lines: &mut Lines<'_>,
    layout: Layout,
    n: usize,
    assembly: &mut Assembly,
    colours: &mut Colours,
) -> Result<()> {
    let mesh = &mut assembly.mesh;
    mesh.positions.reserve_exact(n);
    for i in 0..n {
        let line =
            lines.next_filled().ok_or_else(|| lines.ended(&format!("{n} vertices, the next is {i}")))?;
        let mut words = line.words();
        let mut next = |what: &str| line.next_number(&mut words, what);
        mesh.positions.push([next("x, y and z")?, next("x, y and z")?, next("x, y and z")?]);
        if layout.normals {
            let normal = [next("a normal")?, next("a normal")?, next("a normal")?];
            mesh.normals.push(normal.map(|x| x as f32));
        }
        let mut rest: Vec<&[u8]> = words.collect();
        if layout.uvs {
            let [.., u, v] = rest[..] else {
                return Err(line.misfit("texture coordinates", "too few numbers"));
            };
            mesh.uvs.push([line.number(u)? as f32, line.number(v)? as f32]);
            rest.truncate(rest.len() - 2);
        }
        match (layout.colours, &rest[..]) {
            (true, [colour @ .., _] | colour) if colour.len() == 3 => colours.push(&line, colour)?,
            (false, []) => {}
            (true, found) => {
                return Err(line.misfit("a colour of 3 or 4 numbers", format!("{} numbers", found.len())));
            }
            (false, _) => {
                let found = format!("{} numbers more", rest.len());
                return Err(line.misfit("the numbers that the keyword promises", found));
            }
        }
    }
    Ok(())
}

fn faces(lines: &mut Lines<'_>, n: usize, assembly: &mut Assembly) -> Result<()> {
    let (mut colours, mut coloured) = (Colours::default(), vec![]);
    let (mut n_flat, mut n_mapped) = (0, 0);
    let mut corners: Vec<u32> = vec![];
    for i in 0..n {
        let line = lines.next_filled().ok_or_else(|| lines.ended(&format!("{n} faces, the next is {i}")))?;
        let mut words = line.words();
        let n_corners: usize = line.integer(words.next().unwrap_or_default())?;
        corners.clear();
        for word in words.by_ref().take(n_corners) {
            corners.push(line.integer(word)?);
        }
        if corners.len() < n_corners {
            let found = format!("{} indices", corners.len());
            return Err(line.misfit(format!("{n_corners} indices of vertices"), found));
        }
        let rest: Vec<&[u8]> = words.collect();
        let before = assembly.mesh.triangles.len();
        if n_corners < 3 {
            n_flat += 1;
        } else {
            assembly.polygon(&corners, None, || format!("line {}", line.number))?;
        }
        match &rest[..] {
            [] => {}
            [index] => {
                line.integer::<i64>(index)?;
                n_mapped += 1;
            }
            [colour @ .., _] | colour if colour.len() == 3 => {
                colours.push(&line, colour)?;
                coloured.push(before..assembly.mesh.triangles.len());
            }
            more => {
                let found = format!("{} numbers", more.len());
                return Err(line.misfit("a colour of 3 or 4 numbers after the indices", found));
            }
        }
    }
    if !coloured.is_empty() {
        let scale = colours.scale();
        let mesh = &mut assembly.mesh;
        mesh.face_colours = vec![super::GREY; mesh.triangles.len()];
        for (triangles, &colour) in coloured.into_iter().zip(&colours.values) {
            mesh.face_colours[triangles].fill(scale(colour));
        }
    }
    left_out(&mut assembly.notes, "faces of fewer than three corners", n_flat);
    left_out(&mut assembly.notes, "colours by index into a colour map", n_mapped);
    Ok(())
}

/// Colours as numbers, of which the whole file says what they mean.
#[derive(Default)]
struct Colours {
    values: Vec<[f64; 3]>,
    greatest: f64,
}

impl Colours {
    fn push(&mut self, line: &Line<'_>, words: &[&[u8]]) -> Result<()> {
        let mut colour = [0.0; 3];
        for (value, word) in colour.iter_mut().zip(words) {
            *value = line.number(word)?;
            if !(0.0..=255.0).contains(value) {
                return Err(line.misfit("a colour from 0 to 1 or from 0 to 255", shown(word)));
            }
            self.greatest = self.greatest.max(*value);
        }
        self.values.push(colour);
        Ok(())
    }

    fn scale(&self) -> impl Fn([f64; 3]) -> [f32; 3] + use<> {
        let whole = if self.greatest <= 1.0 { 1.0 } else { 255.0 };
        move |colour| colour.map(|x| (x / whole) as f32)
    }
}
