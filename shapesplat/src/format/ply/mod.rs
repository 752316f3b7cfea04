//! PLY of 3D Gaussian splatting, in every dialect: properties in any order and of any number type, binary of both orders of bytes or text,
//! other elements before and behind; out, little-endian floats in graphdeco's order.
//!
//! Values are kept bit by bit. Columns that are no part of a splat stay with it in their own type, and so do other elements; normals that
//! are all zero, which graphdeco writes because its viewer reads rows of fixed length, are made anew by the writer.

mod ascii;
mod cells;
mod comments;
mod elements;
pub(crate) mod header;
mod place;
mod properties;
mod write;

use std::path::Path;

use ply_rs::ply::Encoding;

pub(crate) use cells::{Target, Wanted, gather};
pub(crate) use comments::{lines as comment_lines, split as split_comments};
pub(crate) use elements::read as read_elements;
pub(crate) use write::write;

use super::source::Source;
use crate::splats::{Extra, Splats, Values};
use crate::{Error, Result};
use header::{Element, Header, Kind, Scalar};
use properties::{Colour, Properties};

/// Which columns are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    All,
    /// Positions, opacities, scales, rotations and dc.
    Degree0,
}

/// The normals, which graphdeco writes as zeros.
const NORMALS: [&str; 3] = ["nx", "ny", "nz"];

/// Whether a file begins as a PLY.
pub(crate) fn is_one(start: &[u8]) -> bool {
    let line = start.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    line.len() < start.len() && line.trim_ascii().eq_ignore_ascii_case(b"ply")
}

/// Whether a PLY is a compressed one: whether it has chunks of packed positions.
pub(crate) fn is_compressed(start: &[u8]) -> bool {
    // What is damaged is read as the usual kind, which says what is wrong.
    Header::parse(Path::new(""), start).is_ok_and(|header| {
        let has =
            |element: &str, name: &str| header.find(element).is_some_and(|(_, it)| it.find(name).is_some());
        has("vertex", "packed_position") && header.find("chunk").is_some()
    })
}

/// Reads splats; notes say what of the file is not kept.
pub(crate) fn read(
    source: &Source<'_>,
    path: &Path,
    columns: Columns,
    notes: &mut Vec<String>,
) -> Result<Splats> {
    let header = Header::parse(path, &source.start()?)?;
    let Some((index, vertex)) = header.find("vertex") else {
        return Err(Error::format(path, "header", "an element `vertex`", "none"));
    };
    let mut properties = Properties::find(path, &header, vertex)?;
    if columns == Columns::Degree0 {
        properties.rest.clear();
        properties.extras.clear();
    }
    check_count(source, path, &header, vertex)?;
    let n = vertex.count;
    let mut splats = Splats::zeros(n, properties.rest.len());
    let extras = properties.extras.iter().map(|&i| {
        let property = &vertex.properties[i];
        let values = match property.kind {
            Kind::One(scalar) => zeros(scalar, n),
            // Refused by its name when it is read.
            Kind::List(..) => Values::U8(vec![]),
        };
        Extra { name: property.name.clone(), values }
    });
    splats.extras = extras.collect();
    let rounded = gather(source, path, &header, index, wanted(&mut splats, &properties))?;
    if rounded {
        notes.push("digits of numbers that are longer than a float".to_owned());
    }
    if columns == Columns::All {
        splats.elements = read_elements(source, path, &header, &[index])?;
    }
    drop_zero_normals(&mut splats);
    (splats.antialiased, splats.comments) = split_comments(header.comments);
    Ok(splats)
}

/// Refuses lists, and a count of rows that the file cannot hold, before columns of that length are made.
pub(crate) fn check_count(
    source: &Source<'_>,
    path: &Path,
    header: &Header,
    element: &Element,
) -> Result<()> {
    if let Some(list) = element.properties.iter().find(|property| matches!(property.kind, Kind::List(..))) {
        let field = format!("{}, {}", element.name, list.name);
        return Err(Error::format(path, field, "one number a row", "a list"));
    }
    let body = source.len() - header.n_bytes.min(source.len());
    let least = match header.encoding {
        // A digit and what ends it for each number, but for the last.
        Encoding::Ascii => element.properties.len() * 2,
        _ => element.row_bytes().unwrap_or(0),
    };
    let needed = element.count.checked_mul(least.max(1));
    if needed.is_none_or(|needed| needed > body + 1) {
        let expected = format!("{} rows of at least {least} bytes", element.count);
        return Err(Error::format(path, element.name.clone(), expected, format!("{body} bytes")));
    }
    Ok(())
}

/// Where the values of each property go.
fn wanted<'a>(splats: &'a mut Splats, properties: &Properties) -> Vec<Wanted<'a>> {
    const RGB: [f32; 256] = colours_of_bytes();
    let Splats { positions, scales, rotations, opacities, dc, rest, extras, .. } = splats;
    let mut wanted = Vec::with_capacity(14 + rest.len() + extras.len());
    let mut floats = |places: &[usize], columns: &'a mut [Vec<f32>]| {
        let float =
            |(&index, column): (&usize, &'a mut Vec<f32>)| Wanted { index, target: Target::Float(column) };
        wanted.extend(places.iter().zip(columns).map(float));
    };
    floats(&properties.positions, positions);
    floats(&properties.scales, scales);
    floats(&properties.rotations, rotations);
    floats(&[properties.opacity], std::slice::from_mut(opacities));
    floats(&properties.rest, rest);
    match properties.colour {
        Colour::Dc(places) => floats(&places, dc),
        Colour::Rgb(places) => {
            let coded = |(index, column): (usize, &'a mut Vec<f32>)| Wanted {
                index,
                target: Target::Coded(column, &RGB),
            };
            wanted.extend(places.into_iter().zip(dc).map(coded));
        }
    }
    let own = |(&index, extra): (&usize, &'a mut Extra)| {
        let target = match &mut extra.values {
            Values::I8(values) => Target::I8(values),
            Values::U8(values) => Target::U8(values),
            Values::I16(values) => Target::I16(values),
            Values::U16(values) => Target::U16(values),
            Values::I32(values) => Target::I32(values),
            Values::U32(values) => Target::U32(values),
            Values::F32(values) => Target::Sparse(values),
            Values::F64(values) => Target::F64(values),
        };
        Wanted { index, target }
    };
    wanted.extend(properties.extras.iter().zip(extras).map(own));
    wanted
}

/// The coefficient of degree 0 of each byte of a colour.
const fn colours_of_bytes() -> [f32; 256] {
    let mut table = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = ((byte as f64 / 255.0 - 0.5) / SH_C0_F64) as f32;
        byte += 1;
    }
    table
}

/// The basis function of degree 0 with all its digits.
const SH_C0_F64: f64 = 0.282_094_791_773_878_14;

fn zeros(scalar: Scalar, n: usize) -> Values {
    match scalar {
        Scalar::I8 => Values::I8(vec![0; n]),
        Scalar::U8 => Values::U8(vec![0; n]),
        Scalar::I16 => Values::I16(vec![0; n]),
        Scalar::U16 => Values::U16(vec![0; n]),
        Scalar::I32 => Values::I32(vec![0; n]),
        Scalar::U32 => Values::U32(vec![0; n]),
        Scalar::F32 => Values::F32(vec![0.0; n]),
        Scalar::F64 => Values::F64(vec![0.0; n]),
    }
}

/// Drops three columns of normals that are all zero, with the positive sign that the writer gives them.
fn drop_zero_normals(splats: &mut Splats) {
    let is_zero = |name: &str| {
        splats.extras.iter().any(|extra| match &extra.values {
            Values::F32(values) if extra.name == name => values.iter().all(|value| value.to_bits() == 0),
            _ => false,
        })
    };
    if NORMALS.iter().all(|name| is_zero(name)) {
        splats.extras.retain(|extra| !NORMALS.contains(&&*extra.name));
    }
}
