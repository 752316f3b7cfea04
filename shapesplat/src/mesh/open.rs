//! Files of meshes, told apart by their first bytes or, where those say nothing, by their extension.

use std::path::Path;

use grouping_core::files::text::read_bytes;

use super::{Mesh, Note, gltf, obj, off, ply, stl};
use crate::{Error, Result};

/// No file is longer: vertices are counted in 32 bits.
const LONGEST: u64 = 1 << 32;

/// The kinds of files that hold meshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Geomview's OFF, as text.
    Off,
    /// Wavefront's OBJ with MTL.
    Obj,
    /// Stanford's PLY with faces.
    Ply,
    /// STL, as text or in binary.
    Stl,
    /// glTF 2.0, as JSON or as GLB.
    Gltf,
}

impl Format {
    /// The format of a file: by its first bytes, and by its extension for OBJ and STL, which have none of their own.
    pub fn of(bytes: &[u8], path: &Path) -> Option<Self> {
        if bytes.starts_with(b"glTF") {
            return Some(Self::Gltf);
        }
        if bytes.starts_with(b"ply\n") || bytes.starts_with(b"ply\r") {
            return Some(Self::Ply);
        }
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("obj") => Some(Self::Obj),
            Some("stl") => Some(Self::Stl),
            Some("gltf" | "glb") => Some(Self::Gltf),
            Some("ply") => Some(Self::Ply),
            Some("off") => Some(Self::Off),
            _ => off::is_off(bytes).then_some(Self::Off),
        }
    }
}

impl Mesh {
    /// Reads a file of at most 4 GiB: OFF, OBJ (with MTL and textures beside it), PLY, STL, glTF or GLB.
    ///
    /// # Errors
    /// What the system says; a file that is no mesh, breaks its format or has no face, with the place in it.
    pub fn open(path: &Path) -> Result<(Self, Vec<Note>)> {
        let bytes = read_bytes(path, LONGEST)?;
        let expected = "a mesh (.off, .obj, .ply, .stl, .gltf or .glb)";
        let format = Format::of(&bytes, path)
            .ok_or_else(|| Error::format(path, "content", expected, "something else"))?;
        Self::read(bytes, format, path)
    }

    /// Reads a file of which all bytes are given; `path` names it in errors, and what it refers to is looked for beside it.
    ///
    /// # Errors
    /// As [`Mesh::open`].
    pub fn read(bytes: Vec<u8>, format: Format, path: &Path) -> Result<(Self, Vec<Note>)> {
        match format {
            Format::Off => off::read(&bytes, path),
            Format::Obj => obj::read(&bytes, path),
            Format::Ply => ply::read(&bytes, path),
            Format::Stl => stl::read(bytes, path),
            Format::Gltf => gltf::read(&bytes, path),
        }
    }
}
