//! Lines of mesh text in bytes, and the finite numbers in them.

use std::path::Path;

use crate::{Error, Result};

/// The lines of a text, whatever ends them (`\n`, `\r\n`, `\r`).
pub(super) struct Lines<'a> {
    path: &'a Path,
    rest: &'a [u8],
    number: usize,
}

/// A line and its number, counted from 1.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) path: &'a Path,
    pub(super) number: usize,
    pub(super) text: &'a [u8],
}

impl<'a> Lines<'a> {
    pub(super) fn new(path: &'a Path, text: &'a [u8]) -> Self {
        Self { path, rest: text, number: 0 }
    }

    /// The bytes that were not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next line that holds more than spaces and a comment, without its comment.
    pub(super) fn next_filled(&mut self) -> Option<Line<'a>> {
        loop {
            let mut line = self.next()?;
            let end = line.text.iter().position(|&b| b == b'#').unwrap_or(line.text.len());
            line.text = line.text[..end].trim_ascii();
            if !line.text.is_empty() {
                return Some(line);
            }
        }
    }

    /// The error of a text that ends too early.
    pub(super) fn ended(&self, expected: &str) -> Error {
        Error::format(self.path, format!("line {}", self.number + 1), expected, "the end of the file")
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|&b| b == b'\n' || b == b'\r').unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = match rest {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => rest,
        };
        self.number += 1;
        Some(Line { path: self.path, number: self.number, text })
    }
}

impl<'a> Line<'a> {
    pub(super) fn words(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
    }

    /// The error of this line.
    pub(super) fn misfit(&self, expected: impl Into<String>, found: impl ToString) -> Error {
        Error::format(self.path, format!("line {}", self.number), expected, found)
    }

    /// A finite number.
    pub(super) fn number(&self, word: &[u8]) -> Result<f64> {
        finite(word).ok_or_else(|| self.misfit("a finite number", shown(word)))
    }

    /// A whole number.
    pub(super) fn integer<T: std::str::FromStr>(&self, word: &[u8]) -> Result<T> {
        let read = std::str::from_utf8(word).ok().and_then(|word| word.parse().ok());
        read.ok_or_else(|| self.misfit("a whole number", shown(word)))
    }

    /// The next of `words` as a finite number.
    pub(super) fn next_number(&self, words: &mut impl Iterator<Item = &'a [u8]>, what: &str) -> Result<f64> {
        match words.next() {
            Some(word) => self.number(word),
            None => Err(self.misfit(what, "the end of the line")),
        }
    }
}

/// A finite number as text; none of anything else.
pub(super) fn finite(word: &[u8]) -> Option<f64> {
    std::str::from_utf8(word).ok()?.parse().ok().filter(|number: &f64| number.is_finite())
}

/// A word of a file, for messages.
pub(super) fn shown(word: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(word).chars().take(40).collect();
    format!("`{}`", text.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_any_system_ends_them() {
        let lines = Lines::new(Path::new("a"), b"one\r\ntwo\rthree\n\nfive");
        let read: Vec<(usize, &[u8])> = lines.map(|line| (line.number, line.text)).collect();
        let wanted: [(usize, &[u8]); 5] = [(1, b"one"), (2, b"two"), (3, b"three"), (4, b""), (5, b"five")];
        assert_eq!(read, wanted, "each line once, with its number");
        let mut lines = Lines::new(Path::new("a"), b"# all\n \n x # y");
        let line = lines.next_filled().expect("a line");
        assert_eq!((line.number, line.text), (3, &b"x"[..]), "comments and blanks are skipped");
    }
}
