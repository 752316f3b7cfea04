//! Wavefront OBJ with MTL, by the crate `tobj`, of a text that is checked and repaired first.
//!
//! `tobj` reads no line continuation, no texture with options, no mixture of coloured and plain vertices, and tells no line of an error;
//! it lists texture coordinates of the corners that have some without saying which, and cuts polygons into fans. So the text is scanned
//! ([`scan`]): numbers and indices are checked, faces have all three indices, lines and points are counted and left out; polygons are
//! cut by [`polygon`](super::polygon).
//!
//! A texture takes the place of `Kd`, as in Blender and trimesh; so do colours of vertices.

mod library;
mod scan;
mod texture;
mod write;

use std::cell::RefCell;
use std::path::Path;

use self::library::{Described, Library};
use self::scan::Scanned;
use self::texture::Images;
use super::assembly::Assembly;
use super::note::left_out;
use super::{Material, Mesh, Note};
use crate::{Error, Result};

const OPTIONS: tobj::LoadOptions =
    tobj::LoadOptions { single_index: true, triangulate: false, ignore_points: true, ignore_lines: true };

/// Reads a file of which all bytes are given; libraries and textures are looked for beside it.
pub(super) fn read(bytes: &[u8], path: &Path) -> Result<(Mesh, Vec<Note>)> {
    let mut scanned = scan::scan(bytes, path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let libraries = RefCell::new(Libraries::default());
    let read = tobj::load_obj_buf(&mut scanned.text.as_bytes(), &OPTIONS, |name| {
        libraries.borrow_mut().load(&folder.join(name))
    });
    let mut libraries = libraries.into_inner();
    if let Some(error) = libraries.error {
        return Err(error);
    }
    let refuse = |e: tobj::LoadError| Error::format(path, "content", "an OBJ", e);
    let (models, materials) = read.map_err(refuse)?;
    let materials = materials.map_err(refuse)?;
    let mut assembly = Assembly::new(path);
    assembly.notes.append(&mut libraries.notes);
    if libraries.is_complete() {
        let is_described = |name: &String| materials.iter().any(|material| material.name == *name);
        let used = std::mem::take(&mut scanned.used_materials);
        let undefined = used.into_iter().filter(|name| !is_described(name));
        assembly.notes.extend(undefined.map(|name| Note::UndefinedMaterial { name }));
    }
    let mut images = Images::default();
    let mut has_texture = false;
    for (material, described) in materials.into_iter().zip(&libraries.described) {
        let material = surface(material, described, &scanned, &mut images, &mut assembly.notes);
        has_texture |= material.texture.is_some();
        assembly.material(material);
    }
    for tobj::Model { mesh, name } in models {
        let base = assembly.mesh.positions.len() as u32;
        assembly.part(&name, mesh.material_id);
        let to = &mut assembly.mesh;
        to.positions.extend_from_slice(mesh.positions.as_chunks::<3>().0);
        let single = |values: &[f64; 3]| values.map(|x| x as f32);
        if scanned.has_normals {
            to.normals.extend(mesh.normals.as_chunks::<3>().0.iter().map(single));
        }
        if scanned.has_uvs {
            to.uvs.extend(mesh.texcoords.as_chunks::<2>().0.iter().map(|uv| uv.map(|x| x as f32)));
        }
        to.colours.extend(mesh.vertex_color.as_chunks::<3>().0.iter().map(single));
        let triangles = vec![3; mesh.indices.len() / 3];
        let arities = if mesh.face_arities.is_empty() { &triangles } else { &mesh.face_arities };
        let mut indices: &[u32] = &mesh.indices;
        for (face, &arity) in arities.iter().enumerate() {
            let (corners, rest) = indices.split_at(arity as usize);
            indices = rest;
            let corners: Vec<u32> = corners.iter().map(|&index| base + index).collect();
            assembly.polygon(&corners, None, || format!("face {face} of `{name}`"))?;
        }
    }
    let notes = &mut assembly.notes;
    if has_texture && scanned.n_without_uv > 0 {
        notes.push(Note::NoTextureCoordinates { count: scanned.n_without_uv });
    }
    if scanned.n_without_colour > 0 {
        notes.push(Note::NoColour { count: scanned.n_without_colour });
    }
    for (what, count) in scanned.left_out {
        left_out(notes, &what, count);
    }
    assembly.finish()
}

/// A material of `tobj` with its texture; a missing texture leaves it grey.
fn surface(
    material: tobj::Material,
    described: &Described,
    scanned: &Scanned,
    images: &mut Images,
    notes: &mut Vec<Note>,
) -> Material {
    let colour = material.diffuse.map_or(super::GREY, |kd| kd.map(|x| x.clamp(0.0, 1.0) as f32));
    let opacity = material.dissolve.unwrap_or(1.0).clamp(0.0, 1.0) as f32;
    let mut out = Material { name: material.name, colour, opacity, texture: None };
    if let Some(file) = material.diffuse_texture.as_ref().filter(|_| !scanned.has_uvs) {
        notes.push(Note::NoPlace { file: file.clone() });
    } else if let Some(file) = material.diffuse_texture {
        match images.read(&described.folder, &file) {
            Ok(image) => {
                out.colour = [1.0; 3];
                out.texture = Some(described.placed(image));
            }
            Err(reason) => {
                out.colour = super::GREY;
                notes.push(Note::MissingTexture { file, reason });
            }
        }
    }
    if scanned.is_coloured && out.texture.is_none() {
        out.colour = [1.0; 3];
    }
    out
}

/// The libraries that an OBJ names.
#[derive(Default)]
struct Libraries {
    /// What is beside `tobj`'s materials, in their order.
    described: Vec<Described>,
    notes: Vec<Note>,
    n_missing: usize,
    error: Option<Error>,
}

impl Libraries {
    fn is_complete(&self) -> bool {
        self.n_missing == 0
    }

    /// One library; a file that cannot be read is none, and noted.
    fn load(&mut self, file: &Path) -> tobj::MTLLoadResult {
        match Library::read(file) {
            Ok(Library { text, described, mut notes }) => {
                let materials = tobj::load_mtl_buf(&mut text.as_bytes())?;
                self.described.extend(described);
                self.notes.append(&mut notes);
                Ok(materials)
            }
            Err(Error::Core(error @ grouping_core::Error::Io { .. })) => {
                self.n_missing += 1;
                let reason =
                    std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                self.notes.push(Note::MissingMaterials { file: file.to_path_buf(), reason });
                Ok(Default::default())
            }
            Err(error) => {
                self.error.get_or_insert(error);
                Ok(Default::default())
            }
        }
    }
}
