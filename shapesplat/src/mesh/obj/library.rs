//! Libraries of materials (MTL), checked and written anew in the form that `tobj` reads: names, `Kd`, `d` and textures without options.
//!
//! Options of `map_Kd` are `-s` and `-o` (scale and offset of texture coordinates), `-clamp`, and others that change no colour here.
//! `Tr` is 1 − `d`. Backslashes in paths are slashes. Colours as spectra or in XYZ are left out.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grouping_core::files::text::read_bytes;
use image::RgbImage;

use crate::Result;
use crate::mesh::lines::{Line, Lines, finite};
use crate::mesh::note::left_out;
use crate::mesh::{Note, Texture, Wrap};

/// A library is a few kilobytes.
const LONGEST: u64 = 64 << 20;

/// A library, written anew.
pub(super) struct Library {
    pub(super) text: String,
    /// One a material.
    pub(super) described: Vec<Described>,
    pub(super) notes: Vec<Note>,
}

/// What `tobj` does not tell of a material.
#[derive(Clone, Debug)]
pub(super) struct Described {
    /// Where its textures are looked for.
    pub(super) folder: PathBuf,
    scale: [f64; 2],
    offset: [f64; 2],
    wrap: Wrap,
}

impl Described {
    /// An image on the texture coordinates of this material.
    pub(super) fn placed(&self, image: Arc<RgbImage>) -> Texture {
        let ([su, sv], [ou, ov]) = (self.scale, self.offset);
        Texture { image, wrap: [self.wrap; 2], transform: [[su, 0.0, ou], [0.0, sv, ov]] }
    }
}

impl Library {
    /// # Errors
    /// What the system says; a number that is not finite, with its line.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = read_bytes(path, LONGEST)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let mut library = Self { text: String::new(), described: vec![], notes: vec![] };
        let mut n_spectra = 0;
        for line in Lines::new(path, &bytes) {
            let text = line.text.trim_ascii();
            let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
            let (keyword, rest) = (&text[..end], text[end..].trim_ascii());
            let keyword = keyword.to_ascii_lowercase();
            if keyword == b"newmtl" {
                // A material without a name is still one; no face can have it.
                let name = String::from_utf8_lossy(rest);
                let _ = writeln!(library.text, "newmtl {}", if name.is_empty() { "\u{fffd}" } else { &name });
                let described = Described {
                    folder: folder.clone(),
                    scale: [1.0; 2],
                    offset: [0.0; 2],
                    wrap: Wrap::Repeat,
                };
                library.described.push(described);
            }
            let Some(material) = library.described.last_mut() else { continue };
            let line = Line { text: rest, ..line };
            match &keyword[..] {
                b"kd" if rest.starts_with(b"spectral") || rest.starts_with(b"xyz") => n_spectra += 1,
                b"kd" => {
                    let [r, g, b] = colour(&line)?;
                    let _ = writeln!(library.text, "Kd {r} {g} {b}");
                }
                // `d -halo 0.5`: the last word is the number.
                b"d" | b"tr" => {
                    let word = line.words().last().unwrap_or_default();
                    let value = line.number(word)?;
                    let _ = writeln!(library.text, "d {}", if keyword == b"d" { value } else { 1.0 - value });
                }
                b"map_kd" => {
                    let file = material.texture(rest);
                    if !file.is_empty() {
                        let _ = writeln!(library.text, "map_Kd {file}");
                    }
                }
                _ => {}
            }
        }
        left_out(&mut library.notes, "colours as spectra or in XYZ", n_spectra);
        Ok(library)
    }
}

/// Red, green and blue; of one number, grey.
fn colour(line: &Line<'_>) -> Result<[f64; 3]> {
    let values = line.words().map(|word| line.number(word)).collect::<Result<Vec<f64>>>()?;
    match values[..] {
        [grey] => Ok([grey; 3]),
        [r, g, b] | [r, g, b, _] => Ok([r, g, b]),
        _ => Err(line.misfit("red, green and blue", format!("{} numbers", values.len()))),
    }
}

impl Described {
    /// Takes the options of a texture and returns its file.
    fn texture(&mut self, statement: &[u8]) -> String {
        let mut rest = statement;
        while rest.starts_with(b"-") {
            let (option, after) = split_word(rest);
            let (n_least, n_most) = match option {
                b"-blendu" | b"-blendv" | b"-cc" | b"-clamp" | b"-boost" | b"-texres" | b"-bm"
                | b"-imfchan" | b"-type" => (1, 1),
                b"-mm" => (2, 2),
                b"-s" | b"-o" | b"-t" => (1, 3),
                // A file whose name begins with a hyphen.
                _ => break,
            };
            rest = after;
            let mut values = vec![];
            while values.len() < n_most {
                let (word, after) = split_word(rest);
                if values.len() >= n_least && finite(word).is_none() {
                    break;
                }
                values.push(word);
                rest = after;
            }
            let number =
                |i: usize, missing: f64| values.get(i).and_then(|word| finite(word)).unwrap_or(missing);
            match option {
                b"-s" => self.scale = [number(0, 1.0), number(1, 1.0)],
                b"-o" => self.offset = [number(0, 0.0), number(1, 0.0)],
                b"-clamp" if values == [b"on"] => self.wrap = Wrap::Clamp,
                _ => {}
            }
        }
        let file = String::from_utf8_lossy(rest.trim_ascii()).replace('\\', "/");
        file.trim_matches('"').to_owned()
    }
}

fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii_start())
}
