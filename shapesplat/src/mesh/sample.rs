//! Points on a mesh, uniform by area, with normals and colours.
//!
//! A triangle is drawn in proportion to its area, then a point in it: two uniforms, of which both become their difference to 1 where
//! their sum exceeds 1 (as trimesh's `sample_surface` does, with other numbers). Colours are the product in linear light of what there
//! is: the texture or the base colour of the material, and the colour of the face or the mean of the vertices' colours; without either,
//! grey. Normals are the mean of the vertices', or the triangle's own where these have none.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::material::product;
use super::vector::{area_vector, blend, length, unit};
use super::{GREY, Mesh, Points};
use crate::{Error, Result};

impl Mesh {
    /// `n` points, the same for the same seed.
    ///
    /// # Errors
    /// No point; a mesh without area.
    ///
    /// ```
    /// use shapesplat::mesh::Mesh;
    ///
    /// let mesh = Mesh { positions: vec![[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], triangles: vec![[0, 1, 2]], ..Mesh::default() };
    /// let points = mesh.sample(100, 7)?;
    /// assert!(points.positions.iter().all(|[x, y, z]| *x >= 0.0 && *y >= 0.0 && x + y <= 1.0 && *z == 0.0));
    /// assert_eq!((points.normals[0], points.colours[0]), ([0.0, 0.0, 1.0], [128; 3]));
    /// # Ok::<(), shapesplat::Error>(())
    /// ```
    pub fn sample(&self, n: usize, seed: u64) -> Result<Points> {
        if n == 0 {
            return Err(Error::setting("n", "at least one point", n));
        }
        let mut sums = Vec::with_capacity(self.triangles.len());
        let mut sum = 0.0;
        for i in 0..self.triangles.len() {
            sum += length(area_vector(self.corners(i)));
            sums.push(sum);
        }
        if !(sum > 0.0 && sum.is_finite()) {
            return Err(Error::setting("mesh", "a surface with an area", sum / 2.0));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut points = Points::default();
        for _ in 0..n {
            let at = rng.random::<f64>() * sum;
            // The first sum above: never a triangle without area.
            let triangle = sums.partition_point(|&sum| sum <= at).min(sums.len() - 1);
            let (mut s, mut t) = (rng.random::<f64>(), rng.random::<f64>());
            if s + t > 1.0 {
                (s, t) = (1.0 - s, 1.0 - t);
            }
            let weights = [1.0 - s - t, s, t];
            points.positions.push(blend(self.corners(triangle), weights));
            points.normals.push(self.normal(triangle, weights));
            points.colours.push(self.colour(triangle, weights).map(|x| (x * 255.0 + 0.5) as u8));
        }
        Ok(points)
    }

    /// The normal at a point of a triangle, of length 1; `weights` are those of its corners.
    pub fn normal(&self, triangle: usize, weights: [f64; 3]) -> [f32; 3] {
        let own = || unit(area_vector(self.corners(triangle)));
        let corners = self.triangles[triangle].map(|vertex| self.normals.get(vertex as usize).copied());
        let given = match corners {
            [Some(a), Some(b), Some(c)] => {
                let units = [a, b, c].map(|normal| unit(normal.map(f64::from)));
                match units {
                    [Some(a), Some(b), Some(c)] => unit(blend([a, b, c], weights)),
                    _ => None,
                }
            }
            _ => None,
        };
        given.or_else(own).unwrap_or([0.0, 0.0, 1.0]).map(|x| x as f32)
    }

    /// The colour at a point of a triangle; `weights` are those of its corners.
    pub fn colour(&self, triangle: usize, weights: [f64; 3]) -> [f32; 3] {
        let corners = self.triangles[triangle];
        let mean = |colours: &[[f32; 3]]| {
            let colours = corners.map(|vertex| colours[vertex as usize].map(f64::from));
            blend(colours, weights).map(|x| x as f32)
        };
        let painted = match (self.face_colours.get(triangle), self.colours.is_empty()) {
            (Some(&colour), _) => Some(colour),
            (None, false) => Some(mean(&self.colours)),
            (None, true) => None,
        };
        let part = self.part_of(triangle).and_then(|part| part.material);
        let material = part.map(|index| &self.materials[index]).map(|material| match &material.texture {
            Some(texture) if !self.uvs.is_empty() => {
                let uvs = corners.map(|vertex| self.uvs[vertex as usize].map(f64::from));
                product(texture.colour(blend(uvs, weights)), material.colour)
            }
            _ => material.colour,
        });
        let colour = match (painted, material) {
            (Some(a), Some(b)) => product(a, b),
            (Some(colour), None) | (None, Some(colour)) => colour,
            (None, None) => GREY,
        };
        colour.map(|x| x.clamp(0.0, 1.0))
    }
}
