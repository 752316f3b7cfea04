//! Rows that are written as text, one a line, with `nan` and `inf` in the spellings of C's and Microsoft's libraries.

use std::path::Path;
use std::str::{self, FromStr};
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::source::Source;
use super::cells::{Target, Wanted, is_rounded};
use super::header::{Element, Header, Kind, Scalar};
use crate::{Error, Result};

/// Reads the rows of an element into columns of their length; sets `rounded` where a number does not fit a float.
pub(super) fn gather(
    source: &Source<'_>,
    path: &Path,
    header: &Header,
    index: usize,
    wanted: &mut [Wanted<'_>],
    rounded: &AtomicBool,
) -> Result<()> {
    let bytes = source.whole()?;
    let mut lines = lines(&bytes[header.n_bytes..]);
    // What has no properties has no lines.
    for element in header.elements[..index].iter().filter(|element| !element.properties.is_empty()) {
        for row in 0..element.count {
            lines.next().ok_or_else(|| at_the_end(path, element, row))?;
        }
    }
    let element = &header.elements[index];
    let n_properties = element.properties.len();
    let mut of_property: Vec<Option<usize>> = vec![None; n_properties];
    for (i, wanted) in wanted.iter().enumerate() {
        of_property[wanted.index] = Some(i);
    }
    let mut any_rounded = false;
    for row in 0..element.count {
        let line = lines.next().ok_or_else(|| at_the_end(path, element, row))?;
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        for (property, wanted_index) in element.properties.iter().zip(&of_property) {
            let refuse = |found: String| {
                let field = format!("{}, row {row}, {}", element.name, property.name);
                Error::format(path, field, "a number of its type", found)
            };
            let Kind::One(scalar) = property.kind else { return Err(refuse("a list".to_owned())) };
            let word = words.next().ok_or_else(|| refuse("the end of the line".to_owned()))?;
            let word = str::from_utf8(word).map_err(|_| refuse(format!("{word:?}")))?;
            if let Some(i) = wanted_index {
                let is_rounded = put(word, row, scalar, &mut wanted[*i].target);
                any_rounded |= is_rounded.ok_or_else(|| refuse(format!("`{word}`")))?;
            }
        }
        let n_more = words.count();
        if n_more > 0 {
            let field = format!("{}, row {row}", element.name);
            let found = n_properties + n_more;
            return Err(Error::format(path, field, format!("{n_properties} numbers"), found));
        }
    }
    rounded.fetch_or(any_rounded, Ordering::Relaxed);
    Ok(())
}

/// The lines that hold something.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.trim_ascii().is_empty())
}

pub(super) fn at_the_end(path: &Path, element: &Element, row: usize) -> Error {
    Error::format(path, element.name.clone(), format!("{} rows", element.count), format!("{row} rows"))
}

/// Whether the number was rounded to a float; none for a word that is no number of the type.
fn put(word: &str, row: usize, scalar: Scalar, target: &mut Target<'_>) -> Option<bool> {
    match target {
        Target::Float(values) if matches!(scalar, Scalar::F64 | Scalar::I32 | Scalar::U32) => {
            let value: f64 = number(word)?;
            values[row] = value as f32;
            return Some(is_rounded(value, values[row]));
        }
        Target::Float(values) | Target::Sparse(values) => values[row] = number(word)?,
        Target::Coded(values, table) => values[row] = table[usize::from(whole::<u8>(word)?)],
        Target::I8(values) => values[row] = whole(word)?,
        Target::U8(values) => values[row] = whole(word)?,
        Target::I16(values) => values[row] = whole(word)?,
        Target::U16(values) => values[row] = whole(word)?,
        Target::I32(values) => values[row] = whole(word)?,
        Target::U32(values) => values[row] = whole(word)?,
        Target::F64(values) => values[row] = number(word)?,
    }
    Some(false)
}

/// A number of digits, or one of the words for those that have none.
pub(super) fn number<T: FromStr + From<f32>>(word: &str) -> Option<T> {
    word.parse().ok().or_else(|| {
        let lower = word.to_ascii_lowercase();
        let (is_negative, name) = match lower.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, lower.strip_prefix('+').unwrap_or(&lower)),
        };
        let value = match name {
            "1.#inf" | "1.#inf00" | "1.#inf000" => f32::INFINITY,
            name if name.starts_with("1.#ind") || name.starts_with("1.#qnan") || name.starts_with("nan(") => {
                f32::NAN
            }
            _ => return None,
        };
        Some(T::from(if is_negative { -value } else { value }))
    })
}

/// A whole number, which may be written with a point.
pub(super) fn whole<T: FromStr + TryFrom<i64>>(word: &str) -> Option<T> {
    word.parse().ok().or_else(|| {
        let value: f64 = word.parse().ok()?;
        let is_whole = value.fract() == 0.0 && value.abs() < 9e15;
        if is_whole { T::try_from(value as i64).ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_every_spelling() {
        for (word, value) in [
            ("1", 1.0),
            ("+.5e1", 5.0),
            ("-1.", -1.0),
            ("INF", f32::INFINITY),
            ("-1.#INF", f32::NEG_INFINITY),
        ] {
            assert_eq!(number::<f32>(word), Some(value), "{word}");
        }
        for word in ["nan", "NaN", "-nan", "-nan(ind)", "1.#QNAN", "-1.#IND00", "+nan"] {
            assert!(number::<f32>(word).is_some_and(f32::is_nan), "{word}");
        }
        for word in ["", "x", "1,5", "1.#", "--1", "0x10", "nanx"] {
            assert_eq!(number::<f64>(word), None, "{word}");
        }
        assert_eq!(
            [whole::<u8>("255"), whole("255.0"), whole("256"), whole("-1"), whole("1.5")],
            [Some(255), Some(255), None, None, None]
        );
    }
}
