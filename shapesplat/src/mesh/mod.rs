//! Triangle meshes with colours: read from OFF, OBJ, PLY, STL and glTF; measured, normalised, sampled.
//!
//! Polygons are cut into triangles as they are read. Text that holds no finite number where one belongs is refused with its line;
//! counts are held against the file before memory is taken. What a reader leaves out is told in [`Note`]s.

mod assembly;
mod gltf;
mod lines;
mod material;
mod measure;
mod normalise;
mod note;
mod obj;
mod off;
mod open;
mod ply;
mod points;
mod polygon;
mod sample;
mod stl;
pub(crate) mod vector;

use std::ops::Range;

pub use material::{GREY, Material, Texture, Wrap};
pub use measure::Measures;
pub use normalise::Convention;
pub use note::Note;
pub use open::Format;
pub use points::Points;

/// Triangles on shared vertices, in parts of one material each.
///
/// Colours lie between 0 and 1 and are encoded as sRGB, as files store them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mesh {
    /// x, y, z of each vertex, in the file's frame. Vertices that differ in normal or texture coordinates are several.
    pub positions: Vec<[f64; 3]>,
    /// Three vertices a triangle, anticlockwise seen from outside.
    pub triangles: Vec<[u32; 3]>,
    /// None, or one a vertex: of any length, zero where the file has none.
    pub normals: Vec<[f32; 3]>,
    /// None, or red, green, blue of each vertex.
    pub colours: Vec<[f32; 3]>,
    /// None, or red, green, blue of each triangle.
    pub face_colours: Vec<[f32; 3]>,
    /// None, or one a vertex: u to the right and v upwards, (0, 0) the lower left corner of a texture.
    pub uvs: Vec<[f32; 2]>,
    /// Runs of triangles, in their order; together they are all triangles.
    pub parts: Vec<Part>,
    /// What parts are made of.
    pub materials: Vec<Material>,
}

/// Triangles of one name and one material.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The object, group or node of the file; may be empty.
    pub name: String,
    /// Its triangles.
    pub triangles: Range<usize>,
    /// Index of its material.
    pub material: Option<usize>,
}

impl Mesh {
    /// The positions of a triangle's corners.
    pub fn corners(&self, triangle: usize) -> [[f64; 3]; 3] {
        self.triangles[triangle].map(|vertex| self.positions[vertex as usize])
    }

    /// The part that holds a triangle.
    pub fn part_of(&self, triangle: usize) -> Option<&Part> {
        let index = self.parts.partition_point(|part| part.triangles.end <= triangle);
        self.parts.get(index).filter(|part| part.triangles.contains(&triangle))
    }
}
