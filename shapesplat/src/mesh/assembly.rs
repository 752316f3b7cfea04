//! Meshes under construction: vertices first, then polygons, each checked and cut into triangles.

use std::path::{Path, PathBuf};

use super::polygon::{Cutter, MOST_CORNERS};
use super::{GREY, Material, Mesh, Note, Part};
use crate::{Error, Result};

/// A mesh that a reader fills.
pub(super) struct Assembly {
    path: PathBuf,
    pub(super) mesh: Mesh,
    pub(super) notes: Vec<Note>,
    cutter: Cutter,
    corners: Vec<[f64; 3]>,
    /// The part under construction began with this triangle.
    start: usize,
    name: String,
    material: Option<usize>,
}

impl Assembly {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            mesh: Mesh::default(),
            notes: vec![],
            cutter: Cutter::new(),
            corners: vec![],
            start: 0,
            name: String::new(),
            material: None,
        }
    }

    /// Ends the part under construction and begins another.
    pub(super) fn part(&mut self, name: &str, material: Option<usize>) {
        self.end_part();
        (self.name, self.material) = (name.to_owned(), material);
    }

    fn end_part(&mut self) {
        let triangles = self.start..self.mesh.triangles.len();
        self.start = triangles.end;
        if !triangles.is_empty() {
            let name = std::mem::take(&mut self.name);
            self.mesh.parts.push(Part { name, triangles, material: self.material });
        }
    }

    /// Adds a polygon of at least three corners; a colour is one of each triangle.
    ///
    /// Vertices must be there; `place` names the polygon in errors.
    pub(super) fn polygon(
        &mut self,
        corners: &[u32],
        colour: Option<[f32; 3]>,
        place: impl Fn() -> String,
    ) -> Result<()> {
        let n = self.mesh.positions.len();
        if let Some(vertex) = corners.iter().find(|&&vertex| vertex as usize >= n) {
            return Err(Error::format(&self.path, place(), format!("indices of the {n} vertices"), vertex));
        }
        let before = self.mesh.triangles.len();
        if let [a, b, c] = *corners {
            self.mesh.triangles.push([a, b, c]);
        } else {
            self.corners.clear();
            self.corners.extend(corners.iter().map(|&vertex| self.mesh.positions[vertex as usize]));
            let cut = self.cutter.cut(&self.corners).map_err(|_| {
                let expected = format!("at most {MOST_CORNERS} corners of a polygon that is not convex");
                Error::format(&self.path, place(), expected, corners.len())
            })?;
            let triangles = cut.as_chunks::<3>().0.iter();
            self.mesh.triangles.extend(triangles.map(|triangle| triangle.map(|i| corners[i as usize])));
        }
        if let Some(colour) = colour {
            // Faces before the first coloured one have none of their own.
            self.mesh.face_colours.resize(before, GREY);
            self.mesh.face_colours.resize(self.mesh.triangles.len(), colour);
        }
        Ok(())
    }

    /// The mesh, if it has a face.
    pub(super) fn finish(mut self) -> Result<(Mesh, Vec<Note>)> {
        self.end_part();
        let mesh = &mut self.mesh;
        if mesh.triangles.is_empty() {
            let found = format!("{} vertices without one", mesh.positions.len());
            return Err(Error::format(&self.path, "faces", "at least one face", found));
        }
        if !mesh.face_colours.is_empty() {
            mesh.face_colours.resize(mesh.triangles.len(), GREY);
        }
        if let Some(vertex) = mesh.positions.iter().position(|p| p.iter().any(|x| !x.is_finite())) {
            let found = format!("{:?}", mesh.positions[vertex]);
            return Err(Error::format(&self.path, format!("vertex {vertex}"), "finite coordinates", found));
        }
        Ok((self.mesh, self.notes))
    }

    /// Adds a material and returns its index.
    pub(super) fn material(&mut self, material: Material) -> usize {
        self.mesh.materials.push(material);
        self.mesh.materials.len() - 1
    }
}
