//! The rows of a PLY: one number after another, as text or in binary.

use std::path::{Path, PathBuf};

use ply_rs::ply::{ElementDef, Encoding, PropertyType, ScalarType};

use crate::mesh::lines::shown;
use crate::{Error, Result};

/// A place in the body of a file.
pub(super) struct Rows<'a> {
    path: PathBuf,
    encoding: Encoding,
    rest: &'a [u8],
    /// The line, in text.
    line: usize,
    element: String,
    row: usize,
}

impl<'a> Rows<'a> {
    pub(super) fn new(path: &Path, encoding: Encoding, rest: &'a [u8], line: usize) -> Self {
        Self { path: path.to_path_buf(), encoding, rest, line, element: String::new(), row: 0 }
    }

    /// Begins an element, whose rows the rest of the file must be able to hold.
    pub(super) fn begin(&mut self, element: &ElementDef) -> Result<()> {
        (self.element, self.row) = (element.name.clone(), 0);
        let least: usize = element.properties.values().map(|property| self.least(&property.data_type)).sum();
        // The last number of a text needs no end.
        let fits = element.count.checked_mul(least).is_some_and(|bytes| bytes <= self.rest.len() + 1);
        if !fits {
            let expected = format!("{} rows of at least {least} bytes", element.count);
            let found = format!("{} bytes", self.rest.len());
            return Err(Error::format(&self.path, format!("element {}", element.name), expected, found));
        }
        Ok(())
    }

    /// The fewest bytes of a value.
    fn least(&self, kind: &PropertyType) -> usize {
        match (&self.encoding, kind) {
            (Encoding::Ascii, _) => 2,
            (_, PropertyType::Scalar(kind) | PropertyType::List(kind, _)) => size(kind),
        }
    }

    pub(super) fn next_row(&mut self) {
        self.row += 1;
    }

    /// The error of this place.
    pub(super) fn misfit(&self, expected: impl Into<String>, found: impl ToString) -> Error {
        let place = match self.encoding {
            Encoding::Ascii => format!("line {}", self.line),
            _ => format!("row {} of `{}`", self.row, self.element),
        };
        Error::format(&self.path, place, expected, found)
    }

    /// The next word of a text.
    fn word(&mut self) -> Result<&'a [u8]> {
        let start = self.rest.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(self.rest.len());
        self.line += self.rest[..start].iter().filter(|&&b| b == b'\n').count();
        let rest = &self.rest[start..];
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.misfit(format!("row {} of `{}`", self.row, self.element), "the end of the file"));
        }
        self.rest = &rest[end..];
        Ok(&rest[..end])
    }

    /// The next bytes, turned to little-endian.
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((bytes, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.misfit("a whole row", "the end of the file"));
        };
        self.rest = rest;
        let mut bytes = *bytes;
        if self.encoding == Encoding::BinaryBigEndian {
            bytes.reverse();
        }
        Ok(bytes)
    }

    fn number(&mut self, kind: &ScalarType) -> Result<f64> {
        if self.encoding == Encoding::Ascii {
            let word = self.word()?;
            let read = std::str::from_utf8(word).ok().and_then(|word| word.parse::<f64>().ok());
            let number = read.ok_or_else(|| self.misfit("a number", shown(word)))?;
            // As a binary file would hold it.
            return Ok(if *kind == ScalarType::Float { f64::from(number as f32) } else { number });
        }
        Ok(match kind {
            ScalarType::Char => f64::from(i8::from_le_bytes(self.bytes()?)),
            ScalarType::UChar => f64::from(u8::from_le_bytes(self.bytes()?)),
            ScalarType::Short => f64::from(i16::from_le_bytes(self.bytes()?)),
            ScalarType::UShort => f64::from(u16::from_le_bytes(self.bytes()?)),
            ScalarType::Int => f64::from(i32::from_le_bytes(self.bytes()?)),
            ScalarType::UInt => f64::from(u32::from_le_bytes(self.bytes()?)),
            ScalarType::Float => f64::from(f32::from_le_bytes(self.bytes()?)),
            ScalarType::Double => f64::from_le_bytes(self.bytes()?),
        })
    }

    /// A finite number.
    pub(super) fn finite(&mut self, kind: &ScalarType) -> Result<f64> {
        let number = self.number(kind)?;
        if number.is_finite() { Ok(number) } else { Err(self.misfit("a finite number", number)) }
    }

    /// An index or a small count.
    pub(super) fn index(&mut self, kind: &ScalarType) -> Result<u32> {
        let number = self.number(kind)?;
        let is_index = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
        if is_index { Ok(number as u32) } else { Err(self.misfit("an index from 0", number)) }
    }

    /// The length of a list, which the rest of the file must be able to hold.
    pub(super) fn length(&mut self, count: &ScalarType, kind: &ScalarType) -> Result<usize> {
        let n = self.index(count)? as usize;
        let least = if self.encoding == Encoding::Ascii { 2 } else { size(kind) };
        if n.checked_mul(least).is_none_or(|bytes| bytes > self.rest.len() + 1) {
            return Err(
                self.misfit(format!("a list that {} bytes can hold", self.rest.len()), format!("{n} values"))
            );
        }
        Ok(n)
    }

    /// Passes a number, whatever it is.
    pub(super) fn pass(&mut self, kind: &ScalarType) -> Result<()> {
        self.number(kind).map(drop)
    }

    /// Passes a property.
    pub(super) fn skip_property(&mut self, kind: &PropertyType) -> Result<()> {
        match kind {
            PropertyType::Scalar(kind) => self.pass(kind),
            PropertyType::List(count, kind) => {
                for _ in 0..self.length(count, kind)? {
                    self.pass(kind)?;
                }
                Ok(())
            }
        }
    }

    /// Passes all rows of an element.
    pub(super) fn skip(&mut self, element: &ElementDef) -> Result<()> {
        if element.properties.is_empty() {
            return Ok(());
        }
        for _ in 0..element.count {
            for property in element.properties.values() {
                self.skip_property(&property.data_type)?;
            }
            self.next_row();
        }
        Ok(())
    }
}

fn size(kind: &ScalarType) -> usize {
    match kind {
        ScalarType::Char | ScalarType::UChar => 1,
        ScalarType::Short | ScalarType::UShort => 2,
        ScalarType::Int | ScalarType::UInt | ScalarType::Float => 4,
        ScalarType::Double => 8,
    }
}
