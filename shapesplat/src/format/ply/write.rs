//! PLY out: little-endian, in graphdeco's order, x y z, nx ny nz, f_dc, f_rest, opacity, scale, rot, and further columns behind.
//!
//! Other elements stand behind `vertex`, wherever they stood: viewers that take the first rows of a file for Gaussians are right then.
//!
//! Normals are written also where there are none: the viewer that came with the method reads rows of fixed length. Rows are made a block at
//! a time, several blocks in parallel, and written in their order.

use std::fmt::Write as _;
use std::io::Write;
use std::ops::Range;

use rayon::prelude::*;

use super::NORMALS;
use super::comments;
use super::header::Scalar;
use crate::format::{WriteOptions, Written, stream};
use crate::splats::{Splats, Values};
use crate::{Error, Result};

/// Bytes of rows that are made at once.
const BLOCK: usize = 1 << 20;
/// Bytes of rows in which all columns are put before the next: they stay in the first cache.
const PIECE: usize = 24 << 10;

/// A column as it is stored.
#[derive(Clone, Copy, Debug)]
enum Column<'a> {
    Zeros,
    Floats(&'a [f32]),
    Own(&'a Values),
}

impl Column<'_> {
    fn scalar(self) -> Scalar {
        match self {
            Self::Zeros | Self::Floats(_) | Self::Own(Values::F32(_)) => Scalar::F32,
            Self::Own(Values::I8(_)) => Scalar::I8,
            Self::Own(Values::U8(_)) => Scalar::U8,
            Self::Own(Values::I16(_)) => Scalar::I16,
            Self::Own(Values::U16(_)) => Scalar::U16,
            Self::Own(Values::I32(_)) => Scalar::I32,
            Self::Own(Values::U32(_)) => Scalar::U32,
            Self::Own(Values::F64(_)) => Scalar::F64,
        }
    }

    /// Puts values of these rows at byte `at` of rows of `stride` bytes.
    fn put(self, rows: Range<usize>, bytes: &mut [u8], stride: usize, at: usize) {
        macro_rules! put {
            ($values:expr) => {
                put_column(&$values[rows], bytes, stride, at, |value| value.to_le_bytes())
            };
        }
        match self {
            // The rows are made of zeros.
            Self::Zeros => {}
            Self::Floats(values) => put!(values),
            Self::Own(Values::I8(values)) => put!(values),
            Self::Own(Values::U8(values)) => put!(values),
            Self::Own(Values::I16(values)) => put!(values),
            Self::Own(Values::U16(values)) => put!(values),
            Self::Own(Values::I32(values)) => put!(values),
            Self::Own(Values::U32(values)) => put!(values),
            Self::Own(Values::F32(values)) => put!(values),
            Self::Own(Values::F64(values)) => put!(values),
        }
    }
}

/// Puts one value in each row, at byte `at`.
#[inline(always)]
fn put_column<T: Copy, const N: usize>(
    values: &[T],
    rows: &mut [u8],
    stride: usize,
    at: usize,
    store: impl Fn(T) -> [u8; N],
) {
    assert!(at + N <= stride, "a value lies within its row");
    for (row, &value) in rows.chunks_exact_mut(stride).zip(values) {
        row[at..at + N].copy_from_slice(&store(value));
    }
}

/// Writes splats; every value as it is, rows in their order.
pub(crate) fn write(splats: &Splats, _: &WriteOptions, out: &mut dyn Write) -> Result<Written> {
    let columns = columns(splats)?;
    let stride: usize = columns.iter().map(|(_, column)| column.scalar().size()).sum();
    out.write_all(header(splats, &columns).as_bytes()).map_err(stream)?;
    let n_rows = (BLOCK / stride).max(1);
    let blocks: Vec<Range<usize>> =
        (0..splats.len()).step_by(n_rows).map(|first| first..splats.len().min(first + n_rows)).collect();
    let n_together = rayon::current_num_threads().max(1);
    let mut buffers = vec![vec![0u8; n_rows.min(splats.len()) * stride]; n_together.min(blocks.len())];
    for together in blocks.chunks(n_together) {
        let fill =
            |(buffer, rows): (&mut Vec<u8>, &Range<usize>)| fill(&columns, stride, rows.clone(), buffer);
        if let ([buffer, ..], [rows]) = (&mut buffers[..], together) {
            fill((buffer, rows));
        } else {
            buffers.par_iter_mut().zip(together).for_each(fill);
        }
        for (buffer, rows) in buffers.iter().zip(together) {
            out.write_all(&buffer[..rows.len() * stride]).map_err(stream)?;
        }
    }
    for element in &splats.elements {
        out.write_all(element.rows()).map_err(stream)?;
    }
    Ok(Written { count: splats.len(), keeps_order: true, ..Written::default() })
}

fn fill(columns: &[(String, Column<'_>)], stride: usize, rows: Range<usize>, buffer: &mut [u8]) {
    let n_rows = (PIECE / stride).max(1);
    for (i, piece) in buffer[..rows.len() * stride].chunks_mut(n_rows * stride).enumerate() {
        let first = rows.start + i * n_rows;
        let mut at = 0;
        for (_, column) in columns {
            column.put(first..first + piece.len() / stride, piece, stride, at);
            at += column.scalar().size();
        }
    }
}

fn header(splats: &Splats, columns: &[(String, Column<'_>)]) -> String {
    let mut text = "ply\nformat binary_little_endian 1.0\n".to_owned();
    // Writing to a string does not fail.
    for line in comments::lines(splats) {
        let _ = writeln!(text, "comment {line}");
    }
    let _ = writeln!(text, "element vertex {}", splats.len());
    for (name, column) in columns {
        let _ = writeln!(text, "property {} {name}", column.scalar().name());
    }
    for element in &splats.elements {
        let _ = writeln!(text, "element {} {}", element.name(), element.len());
        for property in element.properties() {
            let _ = writeln!(text, "property {property}");
        }
    }
    text + "end_header\n"
}

/// All columns in their order.
fn columns(splats: &Splats) -> Result<Vec<(String, Column<'_>)>> {
    let of_splat = splats.columns().into_iter().map(|(name, values)| (name, Column::Floats(values)));
    let mut columns: Vec<_> = of_splat.collect();
    let normals = NORMALS.map(|name| {
        let extra = splats.extras.iter().find(|extra| extra.name == name);
        (name.to_owned(), extra.map_or(Column::Zeros, |extra| Column::Own(&extra.values)))
    });
    columns.splice(3..3, normals);
    let others = splats.extras.iter().filter(|extra| !NORMALS.contains(&&*extra.name));
    columns.extend(others.map(|extra| (extra.name.clone(), Column::Own(&extra.values))));
    for (i, (name, _)) in columns.iter().enumerate() {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(Error::setting("extras", "names of one word", format!("`{name}`")));
        }
        if columns[..i].iter().any(|(taken, _)| taken == name) {
            return Err(Error::setting("extras", "each name once", format!("another `{name}`")));
        }
    }
    Ok(columns)
}
