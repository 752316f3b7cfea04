//! The text of an OBJ, checked line by line and written anew in the form that `tobj` reads without loss.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use crate::mesh::lines::{Line, Lines, shown};
use crate::{Error, Result};

/// What a scan found.
pub(super) struct Scanned {
    /// All vertices, then the libraries, then groups and faces; every corner has three indices, of which the first texture coordinate
    /// and the first normal are zeros that the file does not hold.
    pub(super) text: String,
    pub(super) has_uvs: bool,
    pub(super) has_normals: bool,
    pub(super) is_coloured: bool,
    /// Corners without texture coordinates in a file that has some.
    pub(super) n_without_uv: usize,
    /// Vertices without a colour in a file that has some.
    pub(super) n_without_colour: usize,
    /// Names of `usemtl`.
    pub(super) used_materials: BTreeSet<String>,
    /// What is no face, by name.
    pub(super) left_out: BTreeMap<String, usize>,
}

const POSITION: usize = 0;
const UV: usize = 1;
const NORMAL: usize = 2;

#[derive(Default)]
struct Scan {
    vertices: String,
    libraries: String,
    faces: String,
    /// Positions, texture coordinates and normals so far.
    counts: [usize; 3],
    /// The greatest index of each, and its line.
    greatest: [(usize, usize); 3],
    /// Where the lines of vertices without colour end.
    plain_ends: Vec<usize>,
    n_without_uv: usize,
    used_materials: BTreeSet<String>,
    left_out: BTreeMap<String, usize>,
}

/// Checks a text and writes it anew.
pub(super) fn scan(bytes: &[u8], path: &Path) -> Result<Scanned> {
    let mut scan = Scan::default();
    let mut lines = Lines::new(path, bytes);
    let mut joined = vec![];
    while let Some(mut line) = lines.next() {
        // A backslash at the end of a line makes it go on.
        if let Some(mut text) = line.text.trim_ascii_end().strip_suffix(b"\\") {
            joined.clear();
            loop {
                joined.extend_from_slice(text);
                joined.push(b' ');
                let Some(next) = lines.next() else { break };
                if let Some(more) = next.text.trim_ascii_end().strip_suffix(b"\\") {
                    text = more;
                } else {
                    joined.extend_from_slice(next.text);
                    break;
                }
            }
            scan.line(Line { text: &joined, ..line }, path)?;
        } else {
            line.text = line.text.trim_ascii();
            scan.line(line, path)?;
        }
    }
    scan.finish(path)
}

impl Scan {
    fn line(&mut self, line: Line<'_>, path: &Path) -> Result<()> {
        let text = line.text.trim_ascii();
        let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
        let (keyword, rest) = text.split_at(end);
        let rest = rest.trim_ascii();
        // Names may hold a `#`, numbers not.
        let numbers = rest.split(|&b| b == b'#').next().unwrap_or_default();
        let line = Line { text: numbers, ..line };
        match keyword {
            b"v" => return self.position(&line),
            b"vt" => return self.uv(&line),
            b"vn" => return self.normal(&line),
            b"f" | b"fo" => return self.face(&line),
            b"o" | b"g" => {
                let _ = writeln!(self.faces, "g {}", String::from_utf8_lossy(rest));
            }
            b"usemtl" if !rest.is_empty() => {
                let name = String::from_utf8_lossy(rest).into_owned();
                let _ = writeln!(self.faces, "usemtl {name}");
                self.used_materials.insert(name);
            }
            b"mtllib" => self.library(rest, path),
            b"l" => self.leave_out("lines"),
            b"p" => self.leave_out("points"),
            b"curv" | b"curv2" | b"surf" => self.leave_out("free-form curves and surfaces"),
            // Smoothing, display attributes, and what belongs to free-form surfaces.
            b"" | b"usemtl" | b"s" | b"mg" | b"vp" | b"cstype" | b"deg" | b"bmat" | b"step" | b"parm"
            | b"trim" | b"hole" | b"scrv" | b"sp" | b"end" | b"con" | b"bevel" | b"c_interp"
            | b"d_interp" | b"lod" | b"maplib" | b"usemap" | b"shadow_obj" | b"trace_obj" | b"ctech"
            | b"stech" => {}
            _ if keyword.starts_with(b"#") => {}
            _ => self.leave_out(&format!("statements {}", shown(keyword))),
        }
        Ok(())
    }

    fn leave_out(&mut self, what: &str) {
        *self.left_out.entry(what.to_owned()).or_default() += 1;
    }

    /// `v x y z [w]` or `v x y z r g b [a]`.
    fn position(&mut self, line: &Line<'_>) -> Result<()> {
        let (words, n) = numbers::<7>(line)?;
        match n {
            3 | 4 | 6 | 7 => {}
            _ => return Err(line.misfit("3 coordinates, with a weight or a colour", format!("{n} numbers"))),
        }
        self.vertices.push('v');
        if n == 4 {
            let weight = line.number(words[3])?;
            for word in &words[..3] {
                let coordinate = line.number(word)? / weight;
                if !coordinate.is_finite() {
                    return Err(line.misfit("a weight that leaves coordinates finite", shown(words[3])));
                }
                let _ = write!(self.vertices, " {coordinate}");
            }
        } else {
            words[..n.min(6)].iter().for_each(|word| push(&mut self.vertices, word));
        }
        if n < 6 {
            self.plain_ends.push(self.vertices.len());
        }
        self.vertices.push('\n');
        self.counts[POSITION] += 1;
        Ok(())
    }

    fn uv(&mut self, line: &Line<'_>) -> Result<()> {
        let (words, n) = numbers::<3>(line)?;
        if n == 0 {
            return Err(line.misfit("1 to 3 texture coordinates", "none"));
        }
        self.vertices.push_str("vt");
        push(&mut self.vertices, words[0]);
        push(&mut self.vertices, if n > 1 { words[1] } else { b"0" });
        self.vertices.push('\n');
        self.counts[UV] += 1;
        Ok(())
    }

    fn normal(&mut self, line: &Line<'_>) -> Result<()> {
        let (words, n) = numbers::<3>(line)?;
        if n != 3 {
            return Err(line.misfit("a normal of 3 numbers", format!("{n} numbers")));
        }
        self.vertices.push_str("vn");
        words.iter().for_each(|word| push(&mut self.vertices, word));
        self.vertices.push('\n');
        self.counts[NORMAL] += 1;
        Ok(())
    }

    fn face(&mut self, line: &Line<'_>) -> Result<()> {
        let n_corners = line.words().count();
        if n_corners < 3 {
            self.leave_out("faces of fewer than three corners");
            return Ok(());
        }
        self.faces.push('f');
        for word in line.words() {
            let mut indices = [None; 3];
            for (i, part) in word.split(|&b| b == b'/').enumerate() {
                let Some(index) = indices.get_mut(i) else {
                    return Err(line.misfit("at most three indices a corner", shown(word)));
                };
                if !part.is_empty() {
                    *index = Some(self.index(line, i, part)?);
                }
            }
            let [Some(position), uv, normal] = indices else {
                return Err(line.misfit("the index of a vertex", shown(word)));
            };
            self.n_without_uv += usize::from(uv.is_none());
            let _ = write!(self.faces, " {position}/{}/{}", uv.unwrap_or(0) + 1, normal.unwrap_or(0) + 1);
        }
        self.faces.push('\n');
        Ok(())
    }

    /// An index from 1; negative ones count from the last that was read.
    fn index(&mut self, line: &Line<'_>, kind: usize, word: &[u8]) -> Result<usize> {
        let given: i64 = line.integer(word)?;
        let count = self.counts[kind] as i64;
        let index = if given < 0 { count + 1 + given } else { given };
        if index < 1 {
            return Err(line.misfit(self.range(kind, count), shown(word)));
        }
        let index = index as usize;
        if index > self.greatest[kind].0 {
            self.greatest[kind] = (index, line.number);
        }
        Ok(index)
    }

    fn range(&self, kind: usize, count: i64) -> String {
        let what = ["vertices", "texture coordinates", "normals"][kind];
        format!("an index from 1 (or from −1 downwards) of {count} {what}")
    }

    /// A name with spaces if there is such a file, several names otherwise.
    fn library(&mut self, names: &[u8], path: &Path) {
        let names = String::from_utf8_lossy(names).replace('\\', "/");
        let names = names.trim_matches('"');
        let folder = path.parent().unwrap_or(Path::new(""));
        let ends_once = names.to_lowercase().matches(".mtl").count() <= 1;
        let each: Vec<&str> = if ends_once || folder.join(names).is_file() {
            vec![names]
        } else {
            names.split_whitespace().collect()
        };
        for name in each.into_iter().filter(|name| !name.is_empty()) {
            let _ = writeln!(self.libraries, "mtllib {name}");
        }
    }

    fn finish(mut self, path: &Path) -> Result<Scanned> {
        for kind in [POSITION, UV, NORMAL] {
            let ((index, line), count) = (self.greatest[kind], self.counts[kind]);
            if index > count {
                let expected = self.range(kind, count as i64);
                return Err(Error::format(path, format!("line {line}"), expected, index));
            }
        }
        let n_without_colour = self.plain_ends.len();
        let is_coloured = n_without_colour < self.counts[POSITION];
        let mut text = String::with_capacity(
            32 + self.vertices.len()
                + self.libraries.len()
                + self.faces.len()
                + if is_coloured { 12 * n_without_colour } else { 0 },
        );
        text.push_str("vt 0 0\nvn 0 0 0\n");
        let mut start = 0;
        if is_coloured {
            for end in std::mem::take(&mut self.plain_ends) {
                text.push_str(&self.vertices[start..end]);
                text.push_str(" 0.5 0.5 0.5");
                start = end;
            }
        }
        text.push_str(&self.vertices[start..]);
        text.push_str(&self.libraries);
        text.push_str(&self.faces);
        let has_uvs = self.greatest[UV].0 > 0;
        Ok(Scanned {
            text,
            has_uvs,
            has_normals: self.greatest[NORMAL].0 > 0,
            is_coloured,
            n_without_uv: if has_uvs { self.n_without_uv } else { 0 },
            n_without_colour: if is_coloured { n_without_colour } else { 0 },
            used_materials: self.used_materials,
            left_out: self.left_out,
        })
    }
}

/// The words of a line, each a finite number, and how many they are: at most `N`.
fn numbers<'a, const N: usize>(line: &Line<'a>) -> Result<([&'a [u8]; N], usize)> {
    let mut words: [&[u8]; N] = [b""; N];
    let mut n = 0;
    for word in line.words() {
        let Some(place) = words.get_mut(n) else {
            return Err(
                line.misfit(format!("at most {N} numbers"), format!("{} numbers", line.words().count()))
            );
        };
        line.number(word)?;
        *place = word;
        n += 1;
    }
    Ok((words, n))
}

/// A space and a word that was read as a number.
fn push(text: &mut String, word: &[u8]) {
    text.push(' ');
    text.extend(word.iter().map(|&b| char::from(b)));
}
