//! Where the rows of an element lie in a binary file: behind those of the elements before it, whose lists are walked over.

use std::path::Path;

use ply_rs::ply::Encoding;

use super::super::source::Source;
use super::header::{Element, Header, Kind, Scalar};
use crate::{Error, Result};

/// Rows of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Where the first begins.
    pub(crate) offset: usize,
    /// The length of each.
    pub(crate) stride: usize,
    pub(crate) count: usize,
}

/// The rows of an element without lists, all of which lie in the file.
pub(crate) fn place(source: &Source<'_>, path: &Path, header: &Header, index: usize) -> Result<Rows> {
    let mut offset = header.n_bytes;
    for element in &header.elements[..index] {
        offset = end_of(source, path, header, element, offset)?;
    }
    let element = &header.elements[index];
    let Some(stride) = element.row_bytes() else {
        let list = element.properties.iter().find(|property| matches!(property.kind, Kind::List(..)));
        let name = list.map_or("", |property| &property.name);
        return Err(Error::format(path, format!("{}, {name}", element.name), "one number a row", "a list"));
    };
    end(source, path, element, offset, stride)?;
    Ok(Rows { offset, stride, count: element.count })
}

/// Where the rows of an element end that begin at `offset`: within the file.
pub(super) fn end_of(
    source: &Source<'_>,
    path: &Path,
    header: &Header,
    element: &Element,
    offset: usize,
) -> Result<usize> {
    match element.row_bytes() {
        Some(stride) => end(source, path, element, offset, stride),
        None => behind_lists(source, path, header, element, offset),
    }
}

/// Where rows of one length end, which is in the file.
fn end(source: &Source<'_>, path: &Path, element: &Element, offset: usize, stride: usize) -> Result<usize> {
    let end = element.count.checked_mul(stride).and_then(|n_bytes| n_bytes.checked_add(offset));
    end.filter(|end| *end <= source.len()).ok_or_else(|| {
        let found = source.len().saturating_sub(offset);
        let n_rows = found / stride.max(1);
        let expected = format!("{} rows of {stride} bytes", element.count);
        Error::format(path, element.name.clone(), expected, format!("{n_rows} rows in {found} bytes"))
    })
}

/// Bytes of the file that are mapped at once to look for the lengths of lists.
const WINDOW: usize = 1 << 20;

/// Where the rows of an element with lists end.
fn behind_lists(
    source: &Source<'_>,
    path: &Path,
    header: &Header,
    element: &Element,
    offset: usize,
) -> Result<usize> {
    let is_big = header.encoding == Encoding::BinaryBigEndian;
    let (mut from, mut window) = (0, source.block(0..0)?);
    let mut at = offset;
    for row in 0..element.count {
        for property in &element.properties {
            let refuse = |expected: &str, found: String| {
                Error::format(
                    path,
                    format!("{}, row {row}, {}", element.name, property.name),
                    expected,
                    found,
                )
            };
            let n_bytes = match property.kind {
                Kind::One(scalar) => Some(scalar.size()),
                Kind::List(count, item) => {
                    if source.len() - at < count.size() {
                        return Err(refuse("the length of a list", "the end of the file".into()));
                    }
                    if at + count.size() > from + window.len() {
                        (from, window) = (at, source.block(at..source.len().min(at + WINDOW))?);
                    }
                    let stored = &window[at - from..][..count.size()];
                    let length = whole_of_bytes(count, stored, is_big);
                    let length =
                        length.ok_or_else(|| refuse("the length of a list", format!("{stored:?}")))?;
                    length.checked_mul(item.size()).and_then(|items| items.checked_add(count.size()))
                }
            };
            let end = n_bytes.and_then(|n_bytes| at.checked_add(n_bytes)).filter(|end| *end <= source.len());
            at = end.ok_or_else(|| refuse("values", "the end of the file".into()))?;
        }
    }
    Ok(at)
}

/// A whole number that is not negative.
pub(super) fn whole_of_bytes(scalar: Scalar, bytes: &[u8], is_big: bool) -> Option<usize> {
    let mut word = [0; 8];
    for (i, &byte) in bytes.iter().enumerate() {
        word[if is_big { bytes.len() - 1 - i } else { i }] = byte;
    }
    let value = usize::try_from(u64::from_le_bytes(word)).ok()?;
    match scalar {
        Scalar::U8 | Scalar::U16 | Scalar::U32 => Some(value),
        Scalar::I8 => Some(value).filter(|value| *value <= i8::MAX as usize),
        Scalar::I16 => Some(value).filter(|value| *value <= i16::MAX as usize),
        Scalar::I32 => Some(value).filter(|value| *value <= i32::MAX as usize),
        Scalar::F32 | Scalar::F64 => None,
    }
}
