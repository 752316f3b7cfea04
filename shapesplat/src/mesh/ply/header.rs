//! The header of a PLY: checked against the file, cleaned of what `ply-rs` stumbles over, and read by it.

use std::collections::BTreeSet;
use std::path::Path;

use ply_rs::parser::Parser;
use ply_rs::ply::{DefaultElement, Header};

use crate::mesh::lines::{Lines, shown};
use crate::{Error, Result};

/// The header, what follows it, and the number of the line that follows it.
pub(super) fn read<'a>(bytes: &'a [u8], path: &'a Path) -> Result<(Header, &'a [u8], usize)> {
    let mut lines = Lines::new(path, bytes);
    let mut text = String::new();
    let mut names = BTreeSet::new();
    let mut element = String::new();
    loop {
        let line = lines.next().ok_or_else(|| lines.ended("the line `end_header`"))?;
        let trimmed = line.text.trim_ascii();
        let mut words = line.words();
        let keyword = words.next().unwrap_or_default();
        match keyword {
            b"" => continue,
            b"end_header" => {
                text.push_str("end_header\n");
                // A body after `\r\n` or a lone `\r` begins where the line ends.
                let header = parsed(&text, path)?;
                return Ok((header, lines.rest(), line.number + 1));
            }
            b"element" => {
                let name = words.next().unwrap_or_default();
                let count: usize = line.integer(words.next().unwrap_or_default())?;
                if count > bytes.len() {
                    let expected = format!("a count that {} bytes can hold", bytes.len());
                    return Err(line.misfit(expected, count));
                }
                element = String::from_utf8_lossy(name).into_owned();
                if !names.insert((element.clone(), None)) {
                    return Err(line.misfit("elements of different names", shown(name)));
                }
            }
            b"property" => {
                let name = words.last().unwrap_or_default();
                let name = String::from_utf8_lossy(name).into_owned();
                if !names.insert((element.clone(), Some(name.clone()))) {
                    return Err(line.misfit("properties of different names", shown(name.as_bytes())));
                }
            }
            b"ply" | b"format" | b"comment" | b"obj_info" => {}
            _ => return Err(line.misfit("a line of a header", shown(keyword))),
        }
        text.push_str(&String::from_utf8_lossy(trimmed));
        text.push('\n');
    }
}

fn parsed(text: &str, path: &Path) -> Result<Header> {
    let parser = Parser::<DefaultElement>::new();
    parser.read_header(&mut text.as_bytes()).map_err(|error| {
        // The first line of its message says it all; the others repeat the text.
        let reason = error.to_string();
        let reason = reason.lines().take(2).map(str::trim).collect::<Vec<_>>().join(" ");
        Error::format(path, "header", "a header of PLY", reason)
    })
}
