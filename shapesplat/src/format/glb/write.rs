//! Splats become a `.glb`, an attribute at a time.

use std::io::Write;
use std::ops::Range;

use serde_json::{Value, json};

use super::super::activation;
use super::super::bounds::refuse_none;
use super::super::dot_splat::log_scale;
use super::super::dropped::{counted, dropped};
use super::super::half_turn::Axis;
use super::super::{ErrorSum, Written, blocks, stream};
use super::read::OPACITY_MARGINS;
use super::{
    BINARY, CHUNK_HEADER, COLOUR_SPACE, DEGREE, EXTENSION, FLOAT, HEADER, JSON, KERNEL, MAGIC, PROJECTION,
    SORTING, UNSIGNED_BYTE, attribute, coefficient,
};
use crate::{Error, Result, Splats};

/// Points, in glTF's numbers of modes.
const POINTS: u32 = 0;
const ARRAY_BUFFER: u32 = 34_962;

/// An attribute that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribute {
    Position,
    Colour,
    Rotation,
    Scale,
    Opacity,
    /// Of degree 0, and of the `k`-th coefficient above it.
    Coefficient(Option<usize>),
}

impl Attribute {
    fn all(degree: usize) -> Vec<Self> {
        let mut all = vec![
            Self::Position,
            Self::Colour,
            Self::Rotation,
            Self::Scale,
            Self::Opacity,
            Self::Coefficient(None),
        ];
        all.extend((0..(degree + 1).pow(2) - 1).map(|k| Self::Coefficient(Some(k))));
        all
    }

    fn name(self) -> String {
        match self {
            Self::Position => "POSITION".into(),
            Self::Colour => "COLOR_0".into(),
            Self::Rotation => attribute("ROTATION"),
            Self::Scale => attribute("SCALE"),
            Self::Opacity => attribute("OPACITY"),
            Self::Coefficient(None) => coefficient(0, 0),
            Self::Coefficient(Some(k)) => {
                // Degree l begins at l² − 1.
                let l = (k + 1).isqrt();
                coefficient(l, k + 1 - l * l)
            }
        }
    }

    fn shape(self) -> (&'static str, u64) {
        match self {
            Self::Colour => ("VEC4", 4),
            Self::Rotation => ("VEC4", 16),
            Self::Opacity => ("SCALAR", 4),
            _ => ("VEC3", 12),
        }
    }
}

/// Writes a `.glb`.
///
/// # Errors
/// No Gaussian at all, more than 4 GiB, and the system's.
pub(crate) fn write(splats: &Splats, out: &mut dyn Write) -> Result<Written> {
    refuse_none(splats, ".glb")?;
    let attributes = Attribute::all(splats.degree().min(DEGREE));
    let length: u64 = attributes.iter().map(|attribute| attribute.shape().1 * splats.len() as u64).sum();
    let mut json = serde_json::to_vec(&document(splats, &attributes, length))
        .map_err(|error| Error::setting("splats", "numbers that JSON can hold", error))?;
    json.resize(json.len().next_multiple_of(4), b' ');
    let whole = (HEADER + 2 * CHUNK_HEADER + json.len()) as u64 + length;
    let Ok(whole) = u32::try_from(whole) else {
        return Err(Error::setting("splats", "at most 4 GiB of a .glb", format!("{whole} bytes")));
    };
    let mut start = MAGIC.to_vec();
    start.extend([2u32.to_le_bytes(), whole.to_le_bytes(), (json.len() as u32).to_le_bytes(), JSON].concat());
    start.extend(json);
    start.extend([(length as u32).to_le_bytes(), BINARY].concat());
    out.write_all(&start).map_err(stream)?;
    let mut totals = Totals::default();
    for attribute in attributes {
        blocks::encode(
            splats.len(),
            |rows| encode(splats, attribute, rows),
            |(bytes, part)| {
                totals.join(part);
                out.write_all(&bytes).map_err(stream)
            },
        )?;
    }
    let mut dropped = dropped(splats, ".glb", DEGREE, false);
    dropped
        .extend(counted(totals.huge, "scales beyond the range of 32-bit numbers: the greatest is written"));
    dropped.extend(counted(totals.unturned, "quaternions of length 0: written as no rotation"));
    let mut written = Written { count: splats.len(), keeps_order: true, dropped, errors: Vec::new() };
    written.add("scale", totals.scale);
    written.add("rotation", totals.rotation);
    written.add("opacity", totals.opacity);
    Ok(written)
}

fn document(splats: &Splats, attributes: &[Attribute], length: u64) -> Value {
    let mut offset = 0;
    let mut views = Vec::with_capacity(attributes.len());
    let mut accessors = Vec::with_capacity(attributes.len());
    for (i, attribute) in attributes.iter().enumerate() {
        let (shape, bytes) = attribute.shape();
        let bytes = bytes * splats.len() as u64;
        views.push(json!({"buffer": 0, "byteOffset": offset, "byteLength": bytes, "target": ARRAY_BUFFER}));
        offset += bytes;
        let mut accessor =
            json!({"bufferView": i, "componentType": FLOAT, "count": splats.len(), "type": shape});
        match attribute {
            Attribute::Position => {
                let [least, greatest] = bounds(splats);
                accessor["min"] = json!(least);
                accessor["max"] = json!(greatest);
            }
            Attribute::Colour => {
                accessor["componentType"] = json!(UNSIGNED_BYTE);
                accessor["normalized"] = json!(true);
            }
            _ => {}
        }
        accessors.push(accessor);
    }
    let names: serde_json::Map<String, Value> =
        attributes.iter().enumerate().map(|(i, attribute)| (attribute.name(), json!(i))).collect();
    json!({
        "asset": {"version": "2.0", "generator": concat!("shapesplat ", env!("CARGO_PKG_VERSION"))},
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{
            "attributes": names,
            "mode": POINTS,
            "extensions": {EXTENSION: {
                "kernel": KERNEL,
                "colorSpace": COLOUR_SPACE,
                "projection": PROJECTION,
                "sortingMethod": SORTING,
            }},
        }]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": length}],
    })
}

/// The least and the greatest position, turned.
fn bounds(splats: &Splats) -> [[f32; 3]; 2] {
    let mut bounds = [[f32::INFINITY; 3], [f32::NEG_INFINITY; 3]];
    for (axis, (values, sign)) in splats.positions.iter().zip(Axis::Z.signs()).enumerate() {
        for &value in values {
            bounds[0][axis] = bounds[0][axis].min(sign * value);
            bounds[1][axis] = bounds[1][axis].max(sign * value);
        }
    }
    bounds
}

/// What became of the values of some rows.
#[derive(Default)]
struct Totals {
    scale: ErrorSum,
    rotation: ErrorSum,
    opacity: ErrorSum,
    huge: usize,
    unturned: usize,
}

impl Totals {
    fn join(&mut self, later: Self) {
        self.scale.join(later.scale);
        self.rotation.join(later.rotation);
        self.opacity.join(later.opacity);
        self.huge += later.huge;
        self.unturned += later.unturned;
    }
}

fn encode(splats: &Splats, attribute: Attribute, rows: Range<usize>) -> (Vec<u8>, Totals) {
    let mut bytes = Vec::with_capacity(rows.len() * attribute.shape().1 as usize);
    let mut totals = Totals::default();
    let mut floats = |values: &[f32]| values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
    match attribute {
        Attribute::Position => {
            let [sx, sy, sz] = Axis::Z.signs();
            let [x, y, z] = &splats.positions;
            rows.for_each(|row| floats(&[sx * x[row], sy * y[row], sz * z[row]]));
        }
        Attribute::Colour => {
            for row in rows {
                bytes.extend(splats.dc.each_ref().map(|channel| {
                    activation::byte(linear(activation::colour(channel[row]).clamp(0.0, 1.0)))
                }));
                bytes.push(activation::byte(activation::alpha(splats.opacities[row])));
            }
        }
        Attribute::Rotation => {
            for row in rows {
                let given = splats.rotations.each_ref().map(|part| part[row]);
                let unit = activation::unit(given).unwrap_or_else(|| {
                    totals.unturned += 1;
                    [1.0, 0.0, 0.0, 0.0]
                });
                totals.rotation.take(match given {
                    [0.0, 0.0, 0.0, 0.0] => 0.0,
                    _ => activation::turn_error(given, unit.map(f64::from)),
                });
                let [w, x, y, z] = Axis::Z.turn(unit);
                floats(&[x, y, z, w]);
            }
        }
        Attribute::Scale => {
            for row in rows {
                floats(&splats.scales.each_ref().map(|axis| {
                    let linear = f64::from(axis[row]).exp();
                    totals.huge += usize::from(linear > f64::from(f32::MAX));
                    let kept = linear.min(f64::from(f32::MAX)) as f32;
                    totals.scale.take(f64::from(axis[row]) - f64::from(log_scale(kept)));
                    kept
                }));
            }
        }
        Attribute::Opacity => {
            for &logit in &splats.opacities[rows] {
                let alpha = activation::alpha(logit);
                let [least, greatest] = OPACITY_MARGINS;
                totals.opacity.take(alpha - f64::from(alpha as f32).clamp(least, greatest));
                floats(&[alpha as f32]);
            }
        }
        Attribute::Coefficient(None) => {
            let [red, green, blue] = &splats.dc;
            rows.for_each(|row| floats(&[red[row], green[row], blue[row]]));
        }
        Attribute::Coefficient(Some(k)) => {
            let (sign, a_channel) = (Axis::Z.coefficient_sign(k), splats.rest.len() / 3);
            let [red, green, blue] = [0, 1, 2].map(|channel| &splats.rest[channel * a_channel + k]);
            rows.for_each(|row| floats(&[sign * red[row], sign * green[row], sign * blue[row]]));
        }
    }
    (bytes, totals)
}

/// sRGB to linear (IEC 61966-2-1).
fn linear(value: f64) -> f64 {
    if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}
