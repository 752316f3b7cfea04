//! A `.glb` becomes splats.

use std::path::Path;

use super::super::activation::logit_within;
use super::super::bounds::{COMPRESSED, PLAIN, plausible};
use super::super::dot_splat::log_scale;
use super::super::half_turn::Axis;
use super::accessor::{Allowed, FLOATS, Glb, OPACITIES, QUANTISED, ROTATIONS, SCALES};
use super::document::{Primitive, Splatting};
use super::nodes::{self, Placed, Placement, Transform};
use super::{
    BINARY, CHUNK_HEADER, COLOUR_SPACE, COMPRESSION, DEGREE, EXTENSION, HEADER, INSTANCES, JSON, KERNEL,
    MAGIC, PROJECTION, QUANTISATION, SORTING, attribute, coefficient,
};
use crate::{Error, Result, Splats};

/// Alphas are kept within these before the logit: those next to 0 and 1 that 32-bit numbers have.
pub(super) const OPACITY_MARGINS: [f64; 2] = [f32::MIN_POSITIVE as f64, 1.0 - f32::EPSILON as f64 / 4.0];

/// Reads a `.glb`.
///
/// # Errors
/// A file that is truncated or no glTF, one without splats, and what the extension does not define.
pub(crate) fn read(bytes: &[u8], path: &Path) -> Result<Splats> {
    let (json, binary) = chunks(bytes, path)?;
    let document =
        serde_json::from_slice(json).map_err(|e| Error::format(path, "JSON", "a glTF document", e))?;
    let glb = Glb { path, document, binary };
    for name in &glb.document.extensions_required {
        if ![EXTENSION, COMPRESSION, QUANTISATION].contains(&name.as_str()) {
            return Err(glb.unsupported(
                "extensionsRequired",
                name,
                "the file cannot be understood without it",
            ));
        }
    }
    let parts = parts(&glb, bytes.len())?;
    if parts.is_empty() {
        return Err(glb.error("meshes", format!("a primitive with the extension {EXTENSION}"), "none"));
    }
    let mut splats = Splats::default();
    for Part { mesh, primitive, placement } in parts {
        let field = format!("meshes[{mesh}].primitives[{primitive}]");
        let mut part = of_primitive(&glb, &field, &glb.document.meshes[mesh].primitives[primitive])?;
        placement.apply(&mut part);
        Axis::Z.turn_all_back(&mut part);
        splats = if splats.is_empty() { part } else { joined(splats, part) };
        plausible(path, "count", splats.len() as u64, bytes.len(), COMPRESSED)?;
    }
    Ok(splats)
}

/// The chunks of JSON and of binary values.
fn chunks<'a>(bytes: &'a [u8], path: &Path) -> Result<(&'a [u8], &'a [u8])> {
    let number = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    };
    if bytes.len() < HEADER || bytes[..4] != MAGIC {
        return Err(Error::format(path, "magic", "`glTF`", bytes[..bytes.len().min(4)].escape_ascii()));
    }
    if number(bytes, 4) != 2 {
        return Err(Error::format(path, "version", "glTF 2", number(bytes, 4)));
    }
    let length = number(bytes, 8) as usize;
    let Some(mut rest) = bytes.get(HEADER..length) else {
        return Err(Error::format(path, "length", format!("{HEADER} to {} bytes", bytes.len()), length));
    };
    let (mut json, mut binary) = (None, None);
    while !rest.is_empty() {
        let chunk = rest.get(CHUNK_HEADER..).and_then(|content| content.get(..number(rest, 0) as usize));
        let Some(chunk) = chunk else {
            let expected = format!("a chunk within the {} bytes that are left", rest.len());
            return Err(Error::format(path, "chunk", expected, number(rest, 0)));
        };
        match &rest[4..8] {
            kind if kind == JSON && json.is_none() => json = Some(chunk),
            kind if kind == BINARY && binary.is_none() => binary = Some(chunk),
            // Chunks of other kinds are to be skipped.
            _ => {}
        }
        // The last chunk of lenient writers is not padded.
        rest = rest.get(CHUNK_HEADER + chunk.len().next_multiple_of(4)..).unwrap_or(&[]);
    }
    let json = json.ok_or_else(|| Error::format(path, "chunks", "a chunk of JSON", "none"))?;
    Ok((json, binary.unwrap_or(&[])))
}

/// A primitive of splats where a node puts it.
struct Part {
    mesh: usize,
    primitive: usize,
    placement: Placement,
}

/// The primitives of splats in the scene; a mesh of several nodes is met as often.
fn parts(glb: &Glb, file_len: usize) -> Result<Vec<Part>> {
    let (mut parts, mut n) = (Vec::new(), 0u64);
    for Placed { mesh, node, transform } in nodes::placed(glb)? {
        let Some(content) = glb.document.meshes.get(mesh) else {
            return Err(glb.error("mesh", format!("one of {} meshes", glb.document.meshes.len()), mesh));
        };
        if !content.primitives.iter().any(is_splats) {
            continue;
        }
        let placement = match node {
            Some(node) => placement(glb, node, &transform)?,
            None => Placement::NONE,
        };
        for (i, primitive) in content.primitives.iter().enumerate() {
            if !is_splats(primitive) {
                continue;
            }
            n = n.saturating_add(count(glb, &format!("meshes[{mesh}].primitives[{i}]"), primitive)?);
            plausible(glb.path, "count", n, file_len, PLAIN)?;
            parts.push(Part { mesh, primitive: i, placement });
        }
    }
    Ok(parts)
}

fn is_splats(primitive: &Primitive) -> bool {
    primitive.extensions.contains_key(EXTENSION)
}

/// Where a node that bears splats puts them.
fn placement(glb: &Glb, index: usize, transform: &Transform) -> Result<Placement> {
    let (node, field) = (&glb.document.nodes[index], format!("nodes[{index}]"));
    if node.skin.is_some() {
        return Err(glb.unsupported(field, "a skin", "splats that bones move are not read"));
    }
    if node.extensions.contains_key(INSTANCES) {
        return Err(glb.unsupported(field, INSTANCES, "instances of splats are not read"));
    }
    let reason = "splats are moved, turned and scaled along axes that remain at right angles";
    transform.placement().map_err(|found| glb.unsupported(field, found, reason))
}

fn splatting(glb: &Glb, field: &str, primitive: &Primitive) -> Result<Splatting> {
    let field = format!("{field}.{EXTENSION}");
    let object = primitive.extensions.get(EXTENSION).cloned().unwrap_or_default();
    let object: Splatting =
        serde_json::from_value(object).map_err(|e| glb.error(&*field, "the object of the extension", e))?;
    let values = [
        ("kernel", &object.kernel, KERNEL),
        // Drafts had no colour space but this.
        ("colorSpace", &object.color_space, COLOUR_SPACE),
        ("projection", &object.projection, PROJECTION),
        ("sortingMethod", &object.sorting_method, SORTING),
    ];
    for (name, value, known) in values {
        if value.as_ref().is_some_and(|value| value != known) {
            let found = value.as_deref().unwrap_or_default();
            return Err(glb.error(format!("{field}.{name}"), format!("`{known}`"), format!("`{found}`")));
        }
    }
    if let Some(name) = object.extensions.keys().find(|name| *name != COMPRESSION) {
        return Err(glb.unsupported(field, name, "it changes what the splats are"));
    }
    if !matches!(primitive.mode, None | Some(0)) || primitive.indices.is_some() {
        return Err(glb.error(
            field,
            "points (mode 0) without indices",
            format!("mode {:?}", primitive.mode),
        ));
    }
    if !primitive.targets.is_empty() {
        return Err(glb.unsupported(field, "morph targets", "splats that change their shape are not read"));
    }
    Ok(object)
}

/// The types that positions may have.
fn position_kinds(glb: &Glb) -> Allowed {
    let mut named = glb.document.extensions_required.iter().chain(&glb.document.extensions_used);
    if named.any(|name| name == QUANTISATION) { QUANTISED } else { FLOATS }
}

fn accessor_of(glb: &Glb, field: &str, primitive: &Primitive, name: &str) -> Result<usize> {
    let missing = || glb.error(format!("{field}.attributes"), format!("`{name}`"), "none");
    primitive.attributes.get(name).copied().ok_or_else(missing)
}

fn count(glb: &Glb, field: &str, primitive: &Primitive) -> Result<u64> {
    let compressed = !splatting(glb, field, primitive)?.extensions.is_empty();
    // Those of a `.spz` are counted and bounded by its own reader.
    if compressed {
        return Ok(1);
    }
    // A primitive of none is one of them, too: what is met again and again is bounded.
    Ok(glb.count(accessor_of(glb, field, primitive, "POSITION")?, "POSITION")?.max(1))
}

/// The splats of a primitive in the frame of its node.
fn of_primitive(glb: &Glb, field: &str, primitive: &Primitive) -> Result<Splats> {
    let object = splatting(glb, field, primitive)?;
    if let Some(compression) = object.extensions.get(COMPRESSION) {
        let view = compression.get("bufferView").and_then(serde_json::Value::as_u64);
        let view = view.and_then(|view| usize::try_from(view).ok());
        let view =
            view.ok_or_else(|| glb.error(format!("{field}.{COMPRESSION}"), "a `bufferView`", "none"))?;
        let mut splats = super::super::spz::read(glb.view(view)?, glb.path, &mut Vec::new())?;
        // Its frame is RUB, glTF's is LUF: half a turn about y.
        Axis::Y.turn_all_back(&mut splats);
        return Ok(splats);
    }
    let accessor = |name: &str| accessor_of(glb, field, primitive, name);
    let n = usize::try_from(glb.count(accessor("POSITION")?, "POSITION")?).unwrap_or(usize::MAX);
    let positions = glb.columns::<3>(accessor("POSITION")?, "POSITION", n, position_kinds(glb))?;
    let [x, y, z, w] = glb.columns::<4>(accessor(&attribute("ROTATION"))?, "ROTATION", n, ROTATIONS)?;
    let mut scales = glb.columns::<3>(accessor(&attribute("SCALE"))?, "SCALE", n, SCALES)?;
    scales.iter_mut().flatten().for_each(|scale| *scale = log_scale(*scale));
    let [mut opacities] = glb.columns::<1>(accessor(&attribute("OPACITY"))?, "OPACITY", n, OPACITIES)?;
    opacities.iter_mut().for_each(|alpha| *alpha = logit_within(f64::from(*alpha), OPACITY_MARGINS));
    let dc = glb.columns::<3>(accessor(&coefficient(0, 0))?, &coefficient(0, 0), n, FLOATS)?;
    let mut rest = [Vec::new(), Vec::new(), Vec::new()];
    let names = |l: usize| (0..2 * l + 1).map(move |k| coefficient(l, k));
    let has = |l: usize| names(l).any(|name| primitive.attributes.contains_key(&name));
    let degree = (1..=DEGREE).rev().find(|&l| has(l)).unwrap_or(0);
    for name in (1..=degree).flat_map(names) {
        let columns = glb.columns::<3>(accessor(&name)?, &name, n, FLOATS)?;
        rest.iter_mut().zip(columns).for_each(|(channel, column)| channel.push(column));
    }
    let rotations = [w, x, y, z];
    let rest = rest.into_iter().flatten().collect();
    Ok(Splats { positions, scales, rotations, opacities, dc, rest, ..Splats::default() })
}

/// The rows of `first`, then those of `second`; coefficients that one of them lacks are 0.
fn joined(first: Splats, second: Splats) -> Splats {
    let a_channel = first.rest.len().max(second.rest.len()) / 3;
    let columns = |splats: Splats| {
        let (n, own) = (splats.len(), splats.rest.len() / 3);
        let Splats { positions, scales, rotations, opacities, dc, mut rest, .. } = splats;
        for channel in 0..3 {
            let end = channel * a_channel + own;
            rest.splice(end..end, (own..a_channel).map(|_| vec![0.0; n]));
        }
        positions.into_iter().chain(scales).chain(rotations).chain([opacities]).chain(dc).chain(rest)
    };
    let mut both = columns(first).zip(columns(second)).map(|(mut a, b)| {
        a.extend(b);
        a
    });
    let mut next = || both.next().unwrap_or_default();
    Splats {
        positions: std::array::from_fn(|_| next()),
        scales: std::array::from_fn(|_| next()),
        rotations: std::array::from_fn(|_| next()),
        opacities: next(),
        dc: std::array::from_fn(|_| next()),
        rest: both.collect(),
        ..Splats::default()
    }
}
