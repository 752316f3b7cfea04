//! glTF 2.0, as JSON with its buffers and as GLB: triangles of the scene, placed by its nodes, with base colours and textures.
//!
//! The crate `gltf` parses and validates the JSON; accessors are read here ([`accessor`]), because its own iterators trust counts and
//! strides. Base colours and `COLOR_0` are linear light and become sRGB. Where a node mirrors, triangles are turned, as the
//! specification asks. Lines and points, skins and morph targets are left out and counted; compressed geometry is refused by name, and so
//! are Gaussians (`KHR_gaussian_splatting`).

mod accessor;
mod buffers;
mod material;
mod nodes;

use std::path::Path;

use gltf::json::Root;
use gltf::json::mesh::{Mode, Primitive, Semantic};
use gltf::json::validation::Checked;

use self::accessor::Accessors;
use self::buffers::Buffers;
use self::nodes::Placed;
use super::assembly::Assembly;
use super::note::left_out;
use super::{Mesh, Note};
use crate::{Error, Result};

/// Extensions that a file may require: what they change is read, or is no part of geometry and base colours.
const UNDERSTOOD: [&str; 4] = [
    "KHR_mesh_quantization",
    "KHR_texture_transform",
    "KHR_lights_punctual",
    "KHR_materials_pbrSpecularGlossiness",
];
/// The parts of the name of extensions that change how surfaces shine, not their base colour.
const SHADING: &str = "KHR_materials_";
/// A file whose nodes repeat its meshes may hold this many vertices a byte.
const MOST_REPEATED: usize = 16;

/// Reads a file of which all bytes are given; its buffers and images are looked for beside it.
pub(super) fn read(bytes: &[u8], path: &Path) -> Result<(Mesh, Vec<Note>)> {
    let (json, blob) = split(bytes, path)?;
    let root = parse(json, path)?;
    let mut buffers = Buffers::read(&root, blob, path)?;
    let size = bytes.len() + buffers.size();
    let mut assembly = Assembly::new(path);
    material::read(&root, &mut buffers, &mut assembly);
    let reader = Accessors { root: &root, buffers: &buffers, path };
    let mut left = Left::default();
    for placed in nodes::placed(&root, path)? {
        let node = &root.nodes[placed.node];
        let Some(index) = node.mesh else { continue };
        left.skins += usize::from(node.skin.is_some());
        let mesh = &root.meshes[index.value()];
        let name = node.name.as_ref().or(mesh.name.as_ref()).map_or("", |name| name);
        for (i, primitive) in mesh.primitives.iter().enumerate() {
            let place = format!("meshes[{}].primitives[{i}]", index.value());
            add(&reader, primitive, &placed, name, &place, &mut assembly, &mut left)?;
            if assembly.mesh.positions.len() > size.saturating_mul(MOST_REPEATED) {
                let expected = format!("nodes that make at most {MOST_REPEATED} vertices a byte of the file");
                return Err(Error::format(path, "nodes", expected, "more"));
            }
        }
    }
    let n = assembly.mesh.positions.len();
    pad(&mut assembly.mesh, n);
    left_out(&mut assembly.notes, "primitives of points or lines", left.flat);
    left_out(&mut assembly.notes, "skins", left.skins);
    left_out(&mut assembly.notes, "morph targets", left.targets);
    assembly.finish()
}

/// What is no surface, or moves one.
#[derive(Default)]
struct Left {
    flat: usize,
    skins: usize,
    targets: usize,
}

/// The JSON and the buffer of a GLB; a file that is none is JSON.
fn split<'a>(bytes: &'a [u8], path: &Path) -> Result<(&'a [u8], Option<&'a [u8]>)> {
    if !bytes.starts_with(b"glTF") {
        return Ok((bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes), None));
    }
    let word = |at: usize| {
        let bytes = bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize)
    };
    let refuse =
        |field: &str, expected: String, found: String| Err(Error::format(path, field, expected, found));
    let (Some(version), Some(length)) = (word(4), word(8)) else {
        return refuse("header", "12 bytes".into(), format!("{} bytes", bytes.len()));
    };
    if version != 2 {
        return refuse("version", "glTF 2".into(), version.to_string());
    }
    if length > bytes.len() {
        return refuse("length", format!("a file of {length} bytes"), format!("{} bytes", bytes.len()));
    }
    let (mut at, mut json, mut blob) = (12, None, None);
    while let (Some(n), Some(kind)) = (word(at), bytes.get(at + 4..at + 8)) {
        let Some(chunk) = bytes.get(at + 8..).and_then(|rest| rest.get(..n)) else {
            let found = format!("{} bytes", bytes.len() - at - 8);
            return refuse("chunk", format!("a chunk of {n} bytes at byte {at}"), found);
        };
        match kind {
            b"JSON" if json.is_none() => json = Some(chunk),
            b"BIN\0" if blob.is_none() => blob = Some(chunk),
            // Others are for extensions.
            _ => {}
        }
        at += 8 + n;
    }
    match json {
        Some(json) => Ok((json, blob)),
        None => refuse("chunk", "a chunk JSON".into(), "none".into()),
    }
}

/// The JSON, valid.
fn parse(json: &[u8], path: &Path) -> Result<Root> {
    let root: serde_json::Result<Root> = gltf::json::deserialize::from_slice(json);
    let mut root = root.map_err(|e| Error::format(path, "content", "the JSON of a glTF", e))?;
    let named = |name: &String| name.contains("gaussian_splatting");
    if root.extensions_used.iter().chain(&root.extensions_required).any(named) {
        return Err(Error::format(path, "extensionsUsed", "a mesh", "Gaussians (KHR_gaussian_splatting)"));
    }
    let is_understood = |name: &String| UNDERSTOOD.contains(&&name[..]) || name.starts_with(SHADING);
    if let Some(name) = root.extensions_required.iter().find(|name| !is_understood(name)) {
        return Err(Error::format(
            path,
            "extensionsRequired",
            "geometry that is not compressed",
            format!("`{name}`"),
        ));
    }
    root.extensions_required.clear();
    positions(&root, path)?;
    match gltf::Document::from_json(root) {
        Ok(document) => Ok(document.into_json()),
        Err(gltf::Error::Validation(errors)) => {
            let (place, error) = errors
                .first()
                .map_or_else(Default::default, |(path, error)| (path.as_str().to_owned(), error.to_string()));
            Err(Error::format(path, place, "valid glTF", error))
        }
        Err(error) => Err(Error::format(path, "content", "a glTF", error)),
    }
}

/// Checks that positions have an accessor, on which the crate's own validation relies.
fn positions(root: &Root, path: &Path) -> Result<()> {
    let n = root.accessors.len();
    for (i, mesh) in root.meshes.iter().enumerate() {
        for (j, primitive) in mesh.primitives.iter().enumerate() {
            let index = primitive.attributes.get(&Checked::Valid(Semantic::Positions));
            if let Some(index) = index.filter(|index| index.value() >= n) {
                let place = format!("meshes[{i}].primitives[{j}].attributes.POSITION");
                return Err(Error::format(path, place, format!("the index of one of {n} accessors"), index));
            }
        }
    }
    Ok(())
}

/// Adds a primitive where a node places it.
fn add(
    reader: &Accessors<'_>,
    primitive: &Primitive,
    placed: &Placed,
    name: &str,
    place: &str,
    assembly: &mut Assembly,
    left: &mut Left,
) -> Result<()> {
    let Checked::Valid(mode) = primitive.mode else { return Ok(()) };
    left.targets += primitive.targets.as_ref().map_or(0, Vec::len);
    if !matches!(mode, Mode::Triangles | Mode::TriangleStrip | Mode::TriangleFan) {
        left.flat += 1;
        return Ok(());
    }
    let attribute = |semantic| primitive.attributes.get(&Checked::Valid(semantic)).map(|index| index.value());
    let Some(positions) = attribute(Semantic::Positions) else {
        return Err(Error::format(reader.path, place, "the attribute POSITION", "none"));
    };
    let positions = reader.vectors::<3>(positions)?;
    let n = positions.len();
    let same_count = |values: usize, what: &str| {
        let expected = format!("{n} values of {what}");
        if values == n { Ok(()) } else { Err(Error::format(reader.path, place, expected, values)) }
    };
    let material = primitive.material.map(|index| index.value());
    let base = assembly.mesh.positions.len();
    let mesh = &mut assembly.mesh;
    mesh.positions.extend(positions.into_iter().map(|position| placed.point(position)));
    if let Some(index) = attribute(Semantic::Normals) {
        let normals = reader.vectors::<3>(index)?;
        same_count(normals.len(), "NORMAL")?;
        mesh.normals.resize(base, [0.0; 3]);
        mesh.normals.extend(normals.into_iter().map(|normal| placed.normal(normal)));
    }
    if let Some(index) = attribute(Semantic::Colors(0)) {
        let colours = reader.colours(index)?;
        same_count(colours.len(), "COLOR_0")?;
        mesh.colours.resize(base, [1.0; 3]);
        mesh.colours
            .extend(colours.into_iter().map(|colour| colour.map(|x| super::material::encoded(x as f32))));
    }
    let set = material.map_or(0, |index| material::uv_set(&reader.root.materials[index]));
    if let Some(index) = attribute(Semantic::TexCoords(set)) {
        let uvs = reader.vectors::<2>(index)?;
        same_count(uvs.len(), "TEXCOORD")?;
        mesh.uvs.resize(base, [0.0; 2]);
        // Downwards in the file.
        mesh.uvs.extend(uvs.into_iter().map(|[u, v]| [u as f32, (1.0 - v) as f32]));
    }
    pad(mesh, base + n);
    assembly.part(name, material);
    let indices = match primitive.indices {
        Some(index) => reader.indices(index.value())?,
        None => (0..n as u32).collect(),
    };
    let mut triangle = |i: usize, [a, b, c]: [u32; 3]| {
        let corners = if placed.is_mirrored { [a, c, b] } else { [a, b, c] };
        if corners.iter().any(|&index| index as usize >= n) {
            let expected = format!("indices of its {n} vertices");
            return Err(Error::format(reader.path, place, expected, format!("{corners:?}")));
        }
        assembly.polygon(&corners.map(|index| base as u32 + index), None, || format!("{place}, triangle {i}"))
    };
    match mode {
        Mode::Triangles => {
            let (triangles, rest) = indices.as_chunks::<3>();
            if !rest.is_empty() {
                let found = format!("{} indices", indices.len());
                return Err(Error::format(reader.path, place, "three indices a triangle", found));
            }
            triangles.iter().enumerate().try_for_each(|(i, &corners)| triangle(i, corners))
        }
        // Every other triangle of a strip is turned.
        Mode::TriangleStrip => indices.windows(3).enumerate().try_for_each(|(i, w)| {
            triangle(i, if i % 2 == 0 { [w[0], w[1], w[2]] } else { [w[1], w[0], w[2]] })
        }),
        _ => {
            let first = indices.first().copied().unwrap_or(0);
            let fan = indices.get(1..).unwrap_or_default().windows(2).enumerate();
            fan.into_iter().try_for_each(|(i, w)| triangle(i, [first, w[0], w[1]]))
        }
    }
}

/// Gives vertices without an attribute that others have one that says nothing.
fn pad(mesh: &mut Mesh, n: usize) {
    if !mesh.normals.is_empty() {
        mesh.normals.resize(n, [0.0; 3]);
    }
    if !mesh.colours.is_empty() {
        mesh.colours.resize(n, [1.0; 3]);
    }
    if !mesh.uvs.is_empty() {
        mesh.uvs.resize(n, [0.0; 2]);
    }
}
