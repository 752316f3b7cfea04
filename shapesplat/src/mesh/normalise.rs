//! The places, sizes and axes of meshes by the conventions of data sets, as ShapeSplat renders them.
//!
//! ModelNet: the centroid weighted by area becomes the origin, the largest extent 1, and the axes (x, y, z) become (y, z, −x). That map
//! mirrors; triangles are turned, so that they face outwards still. ShapeNet's `model_normalized` stays as it is.
//!
//! Source: the rendering scripts of ShapeSplat, whose comment says [−1, 1] where the result is [−½, ½].

use super::{Mesh, vector};
use crate::{Error, Result};

/// What is done to a mesh before it is rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Convention {
    /// Nothing, as for ShapeNet.
    #[default]
    AsIs,
    /// Centred, scaled and turned, as for ModelNet.
    ModelNet,
}

impl Mesh {
    /// The mesh by a convention.
    ///
    /// # Errors
    /// A mesh without extent, which has no size to become 1.
    pub fn normalised(mut self, convention: Convention) -> Result<Self> {
        match convention {
            Convention::AsIs => return Ok(self),
            Convention::ModelNet => {}
        }
        let (_, centroid) = self.area_and_centroid();
        let bounds = self.bounds();
        let extent = vector::minus(bounds[1], bounds[0]).into_iter().fold(0.0, f64::max);
        if !(extent > 0.0 && extent.is_finite()) {
            return Err(Error::setting("normalise", "a mesh with an extent", extent));
        }
        for position in &mut self.positions {
            let [x, y, z] = vector::minus(*position, centroid).map(|x| x / extent);
            *position = [y, z, -x];
        }
        for normal in &mut self.normals {
            let [x, y, z] = *normal;
            *normal = [y, z, -x];
        }
        for [_, b, c] in &mut self.triangles {
            std::mem::swap(b, c);
        }
        Ok(self)
    }
}
