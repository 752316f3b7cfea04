//! STL, as text and in binary, by the crate `stl_io`, of bytes that are checked and repaired first.
//!
//! A file is binary if its length is that of its count (84 + 50·n bytes), if it does not begin with `solid`, or if a zero is among its
//! first 512 bytes; so one whose header says `solid` is read too. `stl_io` reads text of lower case alone, needs a name after `solid` and ends with the first solid: text is written
//! anew in its form, one solid at a time, each a part. Corners of equal coordinates are one vertex. A facet's own normal is left to its
//! corners; attribute bytes (colours in some dialects) are left out and counted.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

use super::assembly::Assembly;
use super::lines::{Lines, shown};
use super::note::left_out;
use super::{Mesh, Note};
use crate::{Error, Result};

const HEADER: usize = 84;
const FACET: usize = 50;

/// Reads a file of which all bytes are given.
pub(super) fn read(mut bytes: Vec<u8>, path: &Path) -> Result<(Mesh, Vec<Note>)> {
    let mut shape = Shape { assembly: Assembly::new(path), vertices: HashMap::new(), n_facets: 0 };
    let count = bytes.get(80..HEADER).map(|n| n.iter().rev().fold(0, |n, &b| n << 8 | usize::from(b)));
    let length = count.and_then(|n| n.checked_mul(FACET)?.checked_add(HEADER));
    let is_text = bytes.trim_ascii_start().get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"solid"));
    // Text holds no zero, and headers of 80 bytes are mostly filled with them.
    let is_text = is_text && !bytes[..bytes.len().min(512)].contains(&0);
    if is_text && length != Some(bytes.len()) {
        shape.text(&bytes, path)?;
    } else {
        if length.is_none_or(|length| length > bytes.len()) {
            let expected = match (count, length) {
                (Some(n), Some(length)) => format!("{length} bytes of {n} facets"),
                _ => "an STL of at least 84 bytes, or the word solid".into(),
            };
            return Err(Error::format(path, "length", expected, format!("{} bytes", bytes.len())));
        }
        let attributes = bytes[HEADER..].chunks_exact(FACET).take(count.unwrap_or(0));
        let n_attributes = attributes.filter(|facet| facet[48..] != [0, 0]).count();
        left_out(&mut shape.assembly.notes, "attributes of facets", n_attributes);
        left_out(&mut shape.assembly.notes, "bytes after the last facet", bytes.len() - length.unwrap_or(0));
        // Whatever the header says: this is binary.
        bytes[..5].fill(0);
        shape.solid("", Cursor::new(bytes), path)?;
    }
    shape.assembly.finish()
}

/// A mesh of facets.
struct Shape {
    assembly: Assembly,
    vertices: HashMap<[u32; 3], u32>,
    n_facets: usize,
}

impl Shape {
    /// Solids as text.
    fn text(&mut self, bytes: &[u8], path: &Path) -> Result<()> {
        let mut lines = Lines::new(path, bytes);
        while let Some(first) = lines.next() {
            let mut words = first.words();
            match words.next() {
                None => continue,
                Some(word) if word.eq_ignore_ascii_case(b"solid") => {}
                Some(word) => return Err(first.misfit("the word solid", shown(word))),
            }
            let name: Vec<&[u8]> = words.collect();
            let name = String::from_utf8_lossy(&name.join(&b' ')).into_owned();
            let mut text = String::from("solid x\n");
            loop {
                let line = lines.next().ok_or_else(|| lines.ended("the word endsolid"))?;
                let mut words = line.words();
                let Some(keyword) = words.next() else { continue };
                let keyword = keyword.to_ascii_lowercase();
                let is_known = [&b"facet"[..], b"outer", b"vertex", b"endloop", b"endfacet", b"endsolid"];
                if !is_known.contains(&&keyword[..]) {
                    return Err(line.misfit(
                        "facet, outer loop, vertex, endloop, endfacet or endsolid",
                        shown(&keyword),
                    ));
                }
                text.extend(keyword.iter().map(|&b| char::from(b)));
                if keyword == b"endsolid" {
                    text.push('\n');
                    break;
                }
                let mut n_numbers = 0;
                for word in words {
                    text.push(' ');
                    let is_word = word.eq_ignore_ascii_case(b"normal") || word.eq_ignore_ascii_case(b"loop");
                    if !is_word {
                        let number = line.number(word)?;
                        if !(number as f32).is_finite() {
                            return Err(line.misfit("a number of 32 bits", shown(word)));
                        }
                        n_numbers += 1;
                    }
                    text.extend(word.to_ascii_lowercase().iter().map(|&b| char::from(b)));
                }
                if keyword == b"vertex" && n_numbers != 3 {
                    return Err(line.misfit("3 coordinates", format!("{n_numbers} numbers")));
                }
                text.push('\n');
            }
            self.solid(&name, Cursor::new(text.into_bytes()), path)?;
        }
        Ok(())
    }

    /// One solid in the form that `stl_io` reads.
    fn solid(&mut self, name: &str, mut bytes: Cursor<Vec<u8>>, path: &Path) -> Result<()> {
        self.assembly.part(name, None);
        let refuse =
            |facet: usize, e: std::io::Error| Error::format(path, format!("facet {facet}"), "a facet", e);
        for facet in stl_io::create_stl_reader(&mut bytes).map_err(|e| refuse(self.n_facets, e))? {
            let facet = facet.map_err(|e| refuse(self.n_facets, e))?;
            let mut corners = [0; 3];
            for (corner, vertex) in corners.iter_mut().zip(facet.vertices) {
                // −0 is 0.
                let place = vertex.0.map(|x| x + 0.0);
                if place.iter().any(|x| !x.is_finite()) {
                    let field = format!("facet {}", self.n_facets);
                    return Err(Error::format(path, field, "finite coordinates", format!("{place:?}")));
                }
                let positions = &mut self.assembly.mesh.positions;
                *corner = *self.vertices.entry(place.map(f32::to_bits)).or_insert_with(|| {
                    positions.push(place.map(f64::from));
                    (positions.len() - 1) as u32
                });
            }
            self.assembly.polygon(&corners, None, || format!("facet {}", self.n_facets))?;
            self.n_facets += 1;
        }
        Ok(())
    }
}
