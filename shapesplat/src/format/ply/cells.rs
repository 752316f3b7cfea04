//! Values of an element's rows, gathered into columns: from a memory map, a block of rows at a time, in parallel; or from text.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ply_rs::ply::Encoding;
use rayon::prelude::*;

use super::super::source::Source;
use super::ascii;
use super::header::{Element, Header, Kind, Scalar};
use super::place::{Rows, place};
use crate::{Error, Result};

/// Bytes of rows that a thread maps at once.
const BLOCK: usize = 2 << 20;
/// Bytes of rows from which all columns are gathered before the next: they stay in the first cache.
const PIECE: usize = 24 << 10;

/// Where the values of a property go.
#[derive(Debug)]
pub(crate) enum Target<'a> {
    /// Converted, if the file has another type; a float of the file is kept bit by bit.
    Float(&'a mut [f32]),
    /// Floats over zeros, which often are zeros themselves: those are not written, so that no memory is asked for.
    Sparse(&'a mut [f32]),
    /// Bytes of the file, each for a number in a table.
    Coded(&'a mut [f32], &'a [f32; 256]),
    I8(&'a mut [i8]),
    U8(&'a mut [u8]),
    I16(&'a mut [i16]),
    U16(&'a mut [u16]),
    I32(&'a mut [i32]),
    U32(&'a mut [u32]),
    F64(&'a mut [f64]),
}

/// A property that is wanted.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// Its place among the properties of the element.
    pub(crate) index: usize,
    pub(crate) target: Target<'a>,
}

impl<'a> Target<'a> {
    /// The first `n` of its values; the others remain.
    fn take(&mut self, n: usize) -> Self {
        macro_rules! split {
            ($slice:expr) => {{
                let (head, tail) = std::mem::take($slice).split_at_mut(n);
                *$slice = tail;
                head
            }};
        }
        match self {
            Self::Float(values) => Self::Float(split!(values)),
            Self::Sparse(values) => Self::Sparse(split!(values)),
            Self::Coded(values, table) => Self::Coded(split!(values), table),
            Self::I8(values) => Self::I8(split!(values)),
            Self::U8(values) => Self::U8(split!(values)),
            Self::I16(values) => Self::I16(split!(values)),
            Self::U16(values) => Self::U16(split!(values)),
            Self::I32(values) => Self::I32(split!(values)),
            Self::U32(values) => Self::U32(split!(values)),
            Self::F64(values) => Self::F64(split!(values)),
        }
    }
}

/// Gathers properties of an element, whose targets are as long as it has rows; whether a value was rounded to fit a float.
pub(crate) fn gather(
    source: &Source<'_>,
    path: &Path,
    header: &Header,
    index: usize,
    mut wanted: Vec<Wanted<'_>>,
) -> Result<bool> {
    let element = &header.elements[index];
    let scalars = scalars(path, element, &wanted)?;
    let rounded = AtomicBool::new(false);
    if header.encoding == Encoding::Ascii {
        ascii::gather(source, path, header, index, &mut wanted, &rounded)?;
        return Ok(rounded.into_inner());
    }
    let rows = place(source, path, header, index)?;
    let offsets = offsets(element);
    let n_rows = (BLOCK / rows.stride.max(1)).max(1);
    let mut blocks: Vec<(Range<usize>, Vec<Cells<'_>>)> = Vec::with_capacity(rows.count.div_ceil(n_rows));
    for first in (0..rows.count).step_by(n_rows) {
        let range = first..rows.count.min(first + n_rows);
        let cells = wanted.iter_mut().zip(&scalars).map(|(wanted, &scalar)| {
            let target = wanted.target.take(range.len());
            Cells { at: offsets[wanted.index], scalar, target }
        });
        let cells = cells.collect();
        blocks.push((range, cells));
    }
    let is_big = header.encoding == Encoding::BinaryBigEndian;
    let gather_block = |(range, mut cells): (Range<usize>, Vec<Cells<'_>>)| {
        let bytes = source.block(rows.bytes(range))?;
        if gather_rows(&bytes, rows.stride, is_big, &mut cells) {
            rounded.store(true, Ordering::Relaxed);
        }
        Ok::<(), Error>(())
    };
    // One block is not worth waking a thread for.
    if blocks.len() == 1 {
        blocks.into_iter().try_for_each(gather_block)?;
    } else {
        blocks.into_par_iter().try_for_each(gather_block)?;
    }
    Ok(rounded.into_inner())
}

/// The types of the properties that are wanted, each of one value a row and of the type that its target takes.
fn scalars(path: &Path, element: &Element, wanted: &[Wanted<'_>]) -> Result<Vec<Scalar>> {
    let scalar = |wanted: &Wanted<'_>| {
        let property = &element.properties[wanted.index];
        let field = || format!("{}, {}", element.name, property.name);
        let Kind::One(scalar) = property.kind else {
            return Err(Error::format(path, field(), "one number a row", "a list"));
        };
        let expected = match wanted.target {
            Target::Float(_) => return Ok(scalar),
            Target::Coded(..) | Target::U8(_) => Scalar::U8,
            Target::I8(_) => Scalar::I8,
            Target::I16(_) => Scalar::I16,
            Target::U16(_) => Scalar::U16,
            Target::I32(_) => Scalar::I32,
            Target::U32(_) => Scalar::U32,
            Target::F64(_) => Scalar::F64,
            Target::Sparse(_) => Scalar::F32,
        };
        if scalar != expected {
            return Err(Error::format(path, field(), format!("type {}", expected.name()), scalar.name()));
        }
        Ok(scalar)
    };
    wanted.iter().map(scalar).collect()
}

/// Where each property begins in a row of fixed length; lists count as nothing.
fn offsets(element: &Element) -> Vec<usize> {
    let sizes = element.properties.iter().map(|property| match property.kind {
        Kind::One(scalar) => scalar.size(),
        Kind::List(..) => 0,
    });
    let starts = sizes.scan(0, |sum, size| {
        let start = *sum;
        *sum += size;
        Some(start)
    });
    starts.collect()
}

/// A column of a block of rows.
struct Cells<'a> {
    at: usize,
    scalar: Scalar,
    target: Target<'a>,
}

/// Gathers columns of rows; whether a value was rounded.
fn gather_rows(bytes: &[u8], stride: usize, is_big: bool, cells: &mut [Cells<'_>]) -> bool {
    let n_rows = (PIECE / stride).max(1);
    let mut rounded = false;
    for piece in bytes.chunks(n_rows * stride) {
        for Cells { at, scalar, target } in &mut *cells {
            let target = target.take(piece.len() / stride);
            rounded |= if is_big {
                gather_column::<true>(piece, stride, *at, *scalar, target)
            } else {
                gather_column::<false>(piece, stride, *at, *scalar, target)
            };
        }
    }
    rounded
}

/// Numbers that stand in a file in one order of their bytes or the other.
trait Stored<const N: usize>: Copy {
    fn load<const BIG: bool>(bytes: [u8; N]) -> Self;
}

macro_rules! stored {
    ($($number:ty: $n:literal),*) => {$(
        impl Stored<$n> for $number {
            #[inline(always)]
            fn load<const BIG: bool>(bytes: [u8; $n]) -> Self {
                if BIG { Self::from_be_bytes(bytes) } else { Self::from_le_bytes(bytes) }
            }
        }
    )*};
}

stored!(i8: 1, u8: 1, i16: 2, u16: 2, i32: 4, u32: 4, f32: 4, f64: 8);

fn gather_column<const BIG: bool>(
    rows: &[u8],
    stride: usize,
    at: usize,
    scalar: Scalar,
    target: Target<'_>,
) -> bool {
    match (target, scalar) {
        (Target::Float(out), Scalar::F32) => each(rows, stride, at, out, f32::load::<BIG>),
        (Target::Float(out), Scalar::I8) => each(rows, stride, at, out, |b| f32::from(i8::load::<BIG>(b))),
        (Target::Float(out), Scalar::U8) => each(rows, stride, at, out, |b| f32::from(u8::load::<BIG>(b))),
        (Target::Float(out), Scalar::I16) => each(rows, stride, at, out, |b| f32::from(i16::load::<BIG>(b))),
        (Target::Float(out), Scalar::U16) => each(rows, stride, at, out, |b| f32::from(u16::load::<BIG>(b))),
        (Target::Float(out), Scalar::I32) => {
            return wide(rows, stride, at, out, |b| f64::from(i32::load::<BIG>(b)));
        }
        (Target::Float(out), Scalar::U32) => {
            return wide(rows, stride, at, out, |b| f64::from(u32::load::<BIG>(b)));
        }
        (Target::Float(out), Scalar::F64) => return wide(rows, stride, at, out, f64::load::<BIG>),
        (Target::Sparse(out), _) => {
            each_with(rows, stride, at, out, |out, bytes| {
                let value = f32::load::<BIG>(bytes);
                if value.to_bits() != 0 {
                    *out = value;
                }
            });
        }
        (Target::Coded(out, table), _) => {
            each(rows, stride, at, out, |[byte]: [u8; 1]| table[usize::from(byte)]);
        }
        (Target::I8(out), _) => each(rows, stride, at, out, i8::load::<BIG>),
        (Target::U8(out), _) => each(rows, stride, at, out, u8::load::<BIG>),
        (Target::I16(out), _) => each(rows, stride, at, out, i16::load::<BIG>),
        (Target::U16(out), _) => each(rows, stride, at, out, u16::load::<BIG>),
        (Target::I32(out), _) => each(rows, stride, at, out, i32::load::<BIG>),
        (Target::U32(out), _) => each(rows, stride, at, out, u32::load::<BIG>),
        (Target::F64(out), _) => each(rows, stride, at, out, f64::load::<BIG>),
    }
    false
}

#[inline(always)]
fn each<T, const N: usize>(
    rows: &[u8],
    stride: usize,
    at: usize,
    out: &mut [T],
    load: impl Fn([u8; N]) -> T,
) {
    each_with(rows, stride, at, out, |out, bytes| *out = load(bytes));
}

#[inline(always)]
fn each_with<T, const N: usize>(
    rows: &[u8],
    stride: usize,
    at: usize,
    out: &mut [T],
    put: impl Fn(&mut T, [u8; N]),
) {
    assert!(at + N <= stride, "a value lies within its row");
    for (out, row) in out.iter_mut().zip(rows.chunks_exact(stride)) {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&row[at..at + N]);
        put(out, bytes);
    }
}

/// Numbers of more digits than a float has; whether one was rounded.
#[inline(always)]
fn wide<const N: usize>(
    rows: &[u8],
    stride: usize,
    at: usize,
    out: &mut [f32],
    load: impl Fn([u8; N]) -> f64,
) -> bool {
    let mut rounded = false;
    each(rows, stride, at, out, |bytes| load(bytes) as f32);
    for (out, row) in out.iter().zip(rows.chunks_exact(stride)) {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&row[at..at + N]);
        rounded |= is_rounded(load(bytes), *out);
    }
    rounded
}

/// Whether a float is another number than it was made of.
pub(super) fn is_rounded(given: f64, float: f32) -> bool {
    f64::from(float) != given && !given.is_nan()
}

impl Rows {
    fn bytes(&self, rows: Range<usize>) -> Range<usize> {
        self.offset + rows.start * self.stride..self.offset + rows.end * self.stride
    }
}
