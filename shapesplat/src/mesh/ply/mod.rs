//! PLY with faces: ascii and both binaries, any order of properties, normals, colours, texture coordinates of vertices or of corners.
//!
//! `ply-rs` reads the header; the rows are read here, because its own take a string a value and refuse `.5`, `1E3` and rows over two
//! lines. Names: `vertex_indices`, `vertex_index`; `red green blue` (also `r g b`, `diffuse_*`); `s t`, `u v`, `texture_u texture_v`;
//! lists `texcoord` of faces, with `comment TextureFile` and `texnumber`, as MeshLab writes them. Integers of colours are 0 to 255 (0 to
//! 65535 for 16 bits); floats are 0 to 1, or 0 to 255 where one exceeds 1.

mod header;
mod rows;

use std::collections::HashMap;
use std::path::Path;

use grouping_core::image::{Orientation, read_image};
use ply_rs::ply::{ElementDef, PropertyType, ScalarType};

use self::rows::Rows;
use super::assembly::Assembly;
use super::note::left_out;
use super::{GREY, Material, Mesh, Note, Texture};
use crate::{Error, Result};

/// Reads a file of which all bytes are given.
pub(super) fn read(bytes: &[u8], path: &Path) -> Result<(Mesh, Vec<Note>)> {
    let (header, body, first_line) = header::read(bytes, path)?;
    let mut rows = Rows::new(path, header.encoding, body, first_line);
    let mut assembly = Assembly::new(path);
    textures(&header.comments, path, &mut assembly);
    for element in header.elements.values() {
        rows.begin(element)?;
        match &element.name[..] {
            "vertex" => vertices(&mut rows, element, &mut assembly)?,
            "face" => faces(&mut rows, element, &mut assembly)?,
            "tristrips" => {
                return Err(Error::format(
                    path,
                    "tristrips",
                    "faces as polygons",
                    "strips, which are not read",
                ));
            }
            _ => rows.skip(element)?,
        }
        if !matches!(&element.name[..], "vertex" | "face") {
            left_out(&mut assembly.notes, &format!("rows `{}`", element.name), element.count);
        }
    }
    assembly.finish()
}

/// A material a texture that the comments name.
fn textures(comments: &[String], path: &Path, assembly: &mut Assembly) {
    let files = comments.iter().filter_map(|comment| comment.trim().strip_prefix("TextureFile"));
    for file in files.map(|file| file.trim().replace('\\', "/")) {
        let material = match read_image(&path.with_file_name(&file), Orientation::Stored) {
            Ok(image) => Material {
                name: file,
                colour: [1.0; 3],
                texture: Some(Texture::new(image)),
                ..Material::default()
            },
            Err(error) => {
                let reason =
                    std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                assembly.notes.push(Note::MissingTexture { file: file.clone(), reason });
                Material { name: file, ..Material::default() }
            }
        };
        assembly.material(material);
    }
    let first = (!assembly.mesh.materials.is_empty()).then_some(0);
    assembly.part("", first);
}

/// Where a value belongs: one of a vertex, or of a face.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Position(usize),
    Normal(usize),
    Colour(usize),
    Uv(usize),
    TextureNumber,
    Indices,
    CornerUvs,
    Other,
}

impl Role {
    fn of(name: &str, kind: &PropertyType) -> Self {
        let is_list = matches!(kind, PropertyType::List(..));
        match (name, is_list) {
            ("x", false) => Self::Position(0),
            ("y", false) => Self::Position(1),
            ("z", false) => Self::Position(2),
            ("nx", false) => Self::Normal(0),
            ("ny", false) => Self::Normal(1),
            ("nz", false) => Self::Normal(2),
            ("red" | "r" | "diffuse_red", false) => Self::Colour(0),
            ("green" | "g" | "diffuse_green", false) => Self::Colour(1),
            ("blue" | "b" | "diffuse_blue", false) => Self::Colour(2),
            ("s" | "u" | "texture_u", false) => Self::Uv(0),
            ("t" | "v" | "texture_v", false) => Self::Uv(1),
            ("texnumber", false) => Self::TextureNumber,
            ("vertex_indices" | "vertex_index" | "vertex_indexes", true) => Self::Indices,
            ("texcoord" | "texcoords", true) => Self::CornerUvs,
            _ => Self::Other,
        }
    }
}

/// The properties of an element with their roles.
fn roles(element: &ElementDef) -> Vec<(&PropertyType, Role)> {
    element.properties.iter().map(|(name, p)| (&p.data_type, Role::of(name, &p.data_type))).collect()
}

/// What a full colour is in the type of an element's colours; none where the values say.
fn full_colour(roles: &[(&PropertyType, Role)]) -> Option<f64> {
    let kind = roles.iter().find(|(_, role)| matches!(role, Role::Colour(_))).map(|(kind, _)| kind);
    match kind {
        Some(PropertyType::Scalar(ScalarType::Float | ScalarType::Double)) => None,
        Some(PropertyType::Scalar(ScalarType::UShort | ScalarType::Short)) => Some(65535.0),
        _ => Some(255.0),
    }
}

/// Colours between 0 and 1.
fn scaled(colours: &[[f64; 3]], full: Option<f64>) -> Vec<[f32; 3]> {
    let greatest = || colours.iter().flatten().fold(0.0, |greatest: f64, &x| greatest.max(x));
    let full = full.unwrap_or_else(|| if greatest() > 1.0 { 255.0 } else { 1.0 });
    colours.iter().map(|colour| colour.map(|x| (x / full).clamp(0.0, 1.0) as f32)).collect()
}

fn has(roles: &[(&PropertyType, Role)], role: impl Fn(usize) -> Role, n: usize) -> bool {
    (0..n).all(|i| roles.iter().any(|(_, found)| *found == role(i)))
}

fn vertices(rows: &mut Rows<'_>, element: &ElementDef, assembly: &mut Assembly) -> Result<()> {
    let roles = roles(element);
    if !has(&roles, Role::Position, 3) {
        return Err(rows.misfit("the properties x, y and z of `vertex`", "others"));
    }
    let [has_normals, has_colours] = [has(&roles, Role::Normal, 3), has(&roles, Role::Colour, 3)];
    let has_uvs = has(&roles, Role::Uv, 2);
    let mesh = &mut assembly.mesh;
    mesh.positions.reserve_exact(element.count);
    let mut colours = vec![];
    for _ in 0..element.count {
        let (mut position, mut normal, mut colour, mut uv) = ([0.0; 3], [0.0_f32; 3], [0.0; 3], [0.0_f32; 2]);
        for (kind, role) in &roles {
            let PropertyType::Scalar(kind) = kind else {
                rows.skip_property(kind)?;
                continue;
            };
            match *role {
                Role::Position(i) => position[i] = rows.finite(kind)?,
                Role::Normal(i) => normal[i] = rows.finite(kind)? as f32,
                Role::Colour(i) => colour[i] = rows.finite(kind)?,
                Role::Uv(i) => uv[i] = rows.finite(kind)? as f32,
                _ => rows.pass(kind)?,
            }
        }
        rows.next_row();
        mesh.positions.push(position);
        if has_normals {
            mesh.normals.push(normal);
        }
        if has_colours {
            colours.push(colour);
        }
        if has_uvs {
            mesh.uvs.push(uv);
        }
    }
    mesh.colours = scaled(&colours, full_colour(&roles));
    Ok(())
}

fn faces(rows: &mut Rows<'_>, element: &ElementDef, assembly: &mut Assembly) -> Result<()> {
    let roles = roles(element);
    let has_colours = has(&roles, Role::Colour, 3);
    let n_materials = assembly.mesh.materials.len();
    let mut uvs = CornerUvs::default();
    let (mut corners, mut coordinates) = (vec![], vec![]);
    let (mut colours, mut n_flat, mut texture) = (vec![], 0, 0);
    for face in 0..element.count {
        corners.clear();
        coordinates.clear();
        let mut colour = [0.0; 3];
        let mut number = texture;
        for (kind, role) in &roles {
            match (kind, *role) {
                (PropertyType::List(count, kind), Role::Indices) => {
                    for _ in 0..rows.length(count, kind)? {
                        corners.push(rows.index(kind)?);
                    }
                }
                (PropertyType::List(count, kind), Role::CornerUvs) => {
                    for _ in 0..rows.length(count, kind)? {
                        coordinates.push(rows.finite(kind)? as f32);
                    }
                }
                (PropertyType::Scalar(kind), Role::Colour(i)) => colour[i] = rows.finite(kind)?,
                (PropertyType::Scalar(kind), Role::TextureNumber) => number = rows.index(kind)? as usize,
                (kind, _) => rows.skip_property(kind)?,
            }
        }
        rows.next_row();
        if corners.len() < 3 {
            n_flat += 1;
            continue;
        }
        if number != texture && number < n_materials {
            assembly.part("", Some(number));
            texture = number;
        }
        if coordinates.len() == 2 * corners.len() {
            uvs.give(&mut corners, coordinates.as_chunks::<2>().0, assembly);
        }
        assembly.polygon(&corners, None, || format!("row {face} of `face`"))?;
        if has_colours {
            colours.resize(assembly.mesh.triangles.len(), colour);
        }
    }
    let full = full_colour(&roles);
    assembly.mesh.face_colours = scaled(&colours, full);
    left_out(&mut assembly.notes, "faces of fewer than three corners", n_flat);
    Ok(())
}

/// Texture coordinates of corners, which make several vertices of one.
#[derive(Default)]
struct CornerUvs {
    /// Vertices that have their coordinates.
    given: Vec<bool>,
    copies: HashMap<(u32, [u32; 2]), u32>,
}

impl CornerUvs {
    /// Replaces corners by vertices that have these coordinates.
    fn give(&mut self, corners: &mut [u32], uvs: &[[f32; 2]], assembly: &mut Assembly) {
        let mesh = &mut assembly.mesh;
        self.given.resize(mesh.positions.len(), false);
        mesh.uvs.resize(mesh.positions.len(), [0.0; 2]);
        for (corner, &uv) in corners.iter_mut().zip(uvs) {
            let vertex = *corner as usize;
            // What is out of range is refused with its face.
            let Some(given) = self.given.get_mut(vertex) else { continue };
            if !*given {
                (*given, mesh.uvs[vertex]) = (true, uv);
            } else if mesh.uvs[vertex] != uv {
                let copy = self.copies.entry((*corner, uv.map(f32::to_bits))).or_insert_with(|| {
                    mesh.positions.push(mesh.positions[vertex]);
                    mesh.uvs.push(uv);
                    if let Some(&normal) = mesh.normals.get(vertex) {
                        mesh.normals.push(normal);
                    }
                    if !mesh.colours.is_empty() {
                        mesh.colours.push(mesh.colours.get(vertex).copied().unwrap_or(GREY));
                    }
                    self.given.push(true);
                    (mesh.positions.len() - 1) as u32
                });
                *corner = *copy;
            }
        }
    }
}
