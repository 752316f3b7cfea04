//! Elements beside the Gaussians': their rows as they stand, in little-endian binary whatever the encoding of the file.

use std::path::Path;
use std::str;

use ply_rs::ply::Encoding;

use super::super::source::Source;
use super::ascii::{at_the_end, lines, number, whole};
use super::header::{Element, Header, Kind, Scalar};
use super::place::{end_of, whole_of_bytes};
use crate::{Error, Result, splats};

/// All elements that hold a value, but for those of these indices.
pub(crate) fn read(
    source: &Source<'_>,
    path: &Path,
    header: &Header,
    of_splats: &[usize],
) -> Result<Vec<splats::Element>> {
    let is_kept = |i: usize| {
        let element = &header.elements[i];
        !of_splats.contains(&i) && element.count > 0 && !element.properties.is_empty()
    };
    let n_looked_at = (0..header.elements.len()).rev().find(|&i| is_kept(i)).map_or(0, |last| last + 1);
    let elements = header.elements[..n_looked_at].iter().enumerate();
    let mut kept = Vec::new();
    if header.encoding == Encoding::Ascii && n_looked_at > 0 {
        let bytes = source.whole()?;
        let mut lines = lines(&bytes[header.n_bytes..]);
        for (i, element) in elements.filter(|(_, element)| !element.properties.is_empty()) {
            let mut rows = Vec::new();
            for row in 0..element.count {
                let line = lines.next().ok_or_else(|| at_the_end(path, element, row))?;
                if is_kept(i) {
                    put_line(line, &mut rows, path, element, row)?;
                }
            }
            if is_kept(i) {
                kept.push(with_rows(element, rows));
            }
        }
        return Ok(kept);
    }
    let mut offset = header.n_bytes;
    for (i, element) in elements {
        let end = end_of(source, path, header, element, offset)?;
        if is_kept(i) {
            let bytes = source.block(offset..end)?;
            let is_big = header.encoding == Encoding::BinaryBigEndian;
            let rows = if is_big { reversed(&bytes, element) } else { bytes.to_vec() };
            kept.push(with_rows(element, rows));
        }
        offset = end;
    }
    Ok(kept)
}

fn with_rows(element: &Element, rows: Vec<u8>) -> splats::Element {
    let declared = element.properties.iter().map(|property| match property.kind {
        Kind::One(scalar) => format!("{} {}", scalar.name(), property.name),
        Kind::List(count, item) => format!("list {} {} {}", count.name(), item.name(), property.name),
    });
    splats::Element::new(element.name.clone(), element.count, declared.collect(), rows)
}

/// Rows that lie in `bytes`, the bytes of each number the other way round.
fn reversed(bytes: &[u8], element: &Element) -> Vec<u8> {
    let mut rows = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    for _ in 0..element.count {
        for property in &element.properties {
            let (count, n, item) = match property.kind {
                Kind::One(scalar) => (0, 1, scalar.size()),
                Kind::List(count, item) => {
                    let stored = &rest[..count.size()];
                    (count.size(), whole_of_bytes(count, stored, true).unwrap_or(0), item.size())
                }
            };
            let (stored, behind) = rest.split_at(count);
            rows.extend(stored.iter().rev());
            let (values, behind) = behind.split_at(n * item);
            values.chunks_exact(item).for_each(|value| rows.extend(value.iter().rev()));
            rest = behind;
        }
    }
    rows
}

/// Puts a row of text behind `rows`.
fn put_line(line: &[u8], rows: &mut Vec<u8>, path: &Path, element: &Element, row: usize) -> Result<()> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    for property in &element.properties {
        let refuse = |found: String| {
            let field = format!("{}, row {row}, {}", element.name, property.name);
            Error::format(path, field, "a number of its type", found)
        };
        let mut put_next = |scalar: Scalar, rows: &mut Vec<u8>| {
            let word = words.next().ok_or_else(|| refuse("the end of the line".to_owned()))?;
            let word = str::from_utf8(word).map_err(|_| refuse(format!("{word:?}")))?;
            put(word, scalar, rows).ok_or_else(|| refuse(format!("`{word}`")))
        };
        match property.kind {
            Kind::One(scalar) => put_next(scalar, rows)?,
            Kind::List(count, item) => {
                let from = rows.len();
                put_next(count, rows)?;
                let length = whole_of_bytes(count, &rows[from..], false);
                let length = length.ok_or_else(|| refuse("no length of a list".to_owned()))?;
                for _ in 0..length {
                    put_next(item, rows)?;
                }
            }
        }
    }
    let n_more = words.count();
    if n_more > 0 {
        let field = format!("{}, row {row}", element.name);
        return Err(Error::format(path, field, "the numbers of its properties", format!("{n_more} more")));
    }
    Ok(())
}

/// Puts a number behind `rows`; none for a word that is no number of the type.
fn put(word: &str, scalar: Scalar, rows: &mut Vec<u8>) -> Option<()> {
    match scalar {
        Scalar::I8 => rows.extend(whole::<i8>(word)?.to_le_bytes()),
        Scalar::U8 => rows.extend(whole::<u8>(word)?.to_le_bytes()),
        Scalar::I16 => rows.extend(whole::<i16>(word)?.to_le_bytes()),
        Scalar::U16 => rows.extend(whole::<u16>(word)?.to_le_bytes()),
        Scalar::I32 => rows.extend(whole::<i32>(word)?.to_le_bytes()),
        Scalar::U32 => rows.extend(whole::<u32>(word)?.to_le_bytes()),
        Scalar::F32 => rows.extend(number::<f32>(word)?.to_le_bytes()),
        Scalar::F64 => rows.extend(number::<f64>(word)?.to_le_bytes()),
    }
    Some(())
}
