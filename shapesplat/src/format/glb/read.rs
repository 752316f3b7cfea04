//! A `.glb` becomes splats.

use std::path::Path;

use super::super::activation::logit_within;
use super::super::bounds::{COMPRESSED, PLAIN, plausible};
use super::super::dot_splat::log_scale;
use super::super::half_turn::Axis;
use super::accessor::{FLOATS, Glb, OPACITIES, ROTATIONS, SCALES};
use super::document::{Node, Primitive, Splatting};
use super::{
    BINARY, CHUNK_HEADER, COLOUR_SPACE, COMPRESSION, DEGREE, EXTENSION, HEADER, JSON, KERNEL, MAGIC,
    PROJECTION, SORTING, attribute, coefficient,
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
        if ![EXTENSION, COMPRESSION].contains(&name.as_str()) {
            return Err(glb.unsupported(
                "extensionsRequired",
                name,
                "the file cannot be understood without it",
            ));
        }
    }
    let primitives = placed(&glb, bytes.len())?;
    if primitives.is_empty() {
        return Err(glb.error("meshes", format!("a primitive with the extension {EXTENSION}"), "none"));
    }
    let mut splats = Splats::default();
    for (mesh, index) in primitives {
        let field = format!("meshes[{mesh}].primitives[{index}]");
        let part = of_primitive(&glb, &field, &glb.document.meshes[mesh].primitives[index])?;
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

/// The splat primitives of the scene, by mesh and index; a mesh of several nodes is met as often.
fn placed(glb: &Glb, file_len: usize) -> Result<Vec<(usize, usize)>> {
    let document = &glb.document;
    let (mut found, mut n) = (Vec::new(), 0u64);
    let mut of_mesh = |mesh: usize| -> Result<bool> {
        let Some(content) = document.meshes.get(mesh) else {
            return Err(glb.error("mesh", format!("one of {} meshes", document.meshes.len()), mesh));
        };
        let before = found.len();
        for (i, primitive) in content.primitives.iter().enumerate() {
            if primitive.extensions.contains_key(EXTENSION) {
                n = n.saturating_add(count(glb, &format!("meshes[{mesh}].primitives[{i}]"), primitive)?);
                plausible(glb.path, "count", n, file_len, PLAIN)?;
                found.push((mesh, i));
            }
        }
        Ok(found.len() > before)
    };
    let Some(scene) = document.scenes.get(document.scene.unwrap_or(0)) else {
        // A file without a scene is a library of meshes.
        for mesh in 0..document.meshes.len() {
            of_mesh(mesh)?;
        }
        return Ok(found);
    };
    // A node has one parent, so each is met once; what is met again is a circle or a second parent.
    let mut met = vec![false; document.nodes.len()];
    let mut ahead: Vec<(usize, Option<usize>)> = scene.nodes.iter().rev().map(|&node| (node, None)).collect();
    while let Some((index, moved)) = ahead.pop() {
        let Some(node) = document.nodes.get(index) else {
            return Err(glb.error("nodes", format!("one of {} nodes", document.nodes.len()), index));
        };
        if std::mem::replace(&mut met[index], true) {
            return Err(glb.error(format!("nodes[{index}]"), "one parent", "several, or itself"));
        }
        let moved = moved.or((!stays(node)).then_some(index));
        if let Some(mesh) = node.mesh
            && of_mesh(mesh)?
            && let Some(moved) = moved
        {
            let reason = "splats of nodes that are moved, turned or scaled are not read";
            return Err(glb.unsupported(format!("nodes[{moved}]"), "a transform", reason));
        }
        ahead.extend(node.children.iter().rev().map(|&child| (child, moved)));
    }
    Ok(found)
}

/// Whether a node leaves its mesh where it is.
fn stays(node: &Node) -> bool {
    let is = |matrix: &[f64; 16]| (0..16).all(|i| matrix[i] == f64::from(u8::from(i % 5 == 0)));
    node.matrix.as_ref().is_none_or(is)
        && node.translation.is_none_or(|t| t == [0.0; 3])
        && node.rotation.is_none_or(|[x, y, z, _]| [x, y, z] == [0.0; 3])
        && node.scale.is_none_or(|s| s == [1.0; 3])
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
    Ok(object)
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

fn of_primitive(glb: &Glb, field: &str, primitive: &Primitive) -> Result<Splats> {
    let object = splatting(glb, field, primitive)?;
    if let Some(compression) = object.extensions.get(COMPRESSION) {
        let view = compression.get("bufferView").and_then(serde_json::Value::as_u64);
        let view = view.and_then(|view| usize::try_from(view).ok());
        let view =
            view.ok_or_else(|| glb.error(format!("{field}.{COMPRESSION}"), "a `bufferView`", "none"))?;
        let mut splats = super::super::spz::read(glb.view(view)?, glb.path, &mut Vec::new())?;
        // Its frame is RUB, glTF's is LUF by a half turn about y, and PLY's is RDF by one about z then: one about x.
        Axis::X.turn_all_back(&mut splats);
        return Ok(splats);
    }
    let accessor = |name: &str| accessor_of(glb, field, primitive, name);
    let n = usize::try_from(glb.count(accessor("POSITION")?, "POSITION")?).unwrap_or(usize::MAX);
    let positions = glb.columns::<3>(accessor("POSITION")?, "POSITION", n, FLOATS)?;
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
    let mut splats = Splats { positions, scales, rotations, opacities, dc, rest, ..Splats::default() };
    Axis::Z.turn_all_back(&mut splats);
    Ok(splats)
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
