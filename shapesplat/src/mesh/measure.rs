//! Sizes of a mesh: area, area-weighted centroid, bounds, volume; and its flaws: holes, faces without area, faces that repeat.
//!
//! Vertices of equal coordinates count as one position, as trimesh merges them. A mesh is watertight if every edge between two
//! positions belongs to exactly two triangles; it has a volume if these run along the edge in opposite directions, too.

use std::collections::HashMap;

use super::Mesh;
use super::vector::{area_vector, cross, dot, length, minus};

/// What a mesh is in numbers.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Measures {
    /// Vertices, of which those that differ in normal or texture coordinates alone are several.
    pub vertices: usize,
    /// Different positions of vertices that faces use.
    pub positions: usize,
    /// Triangles.
    pub faces: usize,
    /// Least and greatest x, y, z of vertices that faces use.
    pub bounds: [[f64; 3]; 2],
    /// Greatest minus least.
    pub extents: [f64; 3],
    /// Of all triangles.
    pub area: f64,
    /// Mean of the triangles' centres, weighted by area; of the positions, where there is no area.
    pub centroid: [f64; 3],
    /// Whether the surface has no hole.
    pub watertight: bool,
    /// Of a watertight surface whose triangles are turned alike; negative where they are turned inwards.
    pub volume: Option<f64>,
    /// Triangles without area.
    pub degenerate: usize,
    /// Triangles on the positions of an earlier one, turned alike.
    pub duplicate: usize,
    /// Triangles on the positions of an earlier one, turned the other way: surfaces with two sides, as ModelNet and ShapeNet have them.
    pub back_to_back: usize,
}

impl Mesh {
    /// Measures a mesh with a face.
    pub fn measures(&self) -> Measures {
        let (position_of, n_positions) = self.merged();
        let (area, centroid) = self.area_and_centroid();
        let bounds = self.bounds();
        let merged: Vec<[u32; 3]> = self
            .triangles
            .iter()
            .map(|triangle| triangle.map(|vertex| position_of[vertex as usize]))
            .collect();
        let degenerate =
            (0..self.triangles.len()).filter(|&i| area_vector(self.corners(i)) == [0.0; 3]).count();
        let duplicate = repeats(merged.iter().map(|&[a, b, c]| {
            // Begun at the least corner.
            if a <= b && a <= c {
                [a, b, c]
            } else if b <= c {
                [b, c, a]
            } else {
                [c, a, b]
            }
        }));
        let doubled = repeats(merged.iter().map(|triangle| {
            let mut sorted = *triangle;
            sorted.sort_unstable();
            sorted
        }));
        let (watertight, is_oriented) = edges(&merged);
        let volume = (watertight && is_oriented).then(|| self.volume());
        Measures {
            vertices: self.positions.len(),
            positions: n_positions,
            faces: self.triangles.len(),
            bounds,
            extents: minus(bounds[1], bounds[0]),
            area,
            centroid,
            watertight,
            volume,
            degenerate,
            duplicate,
            back_to_back: doubled - duplicate,
        }
    }

    /// Least and greatest coordinates of vertices that faces use.
    pub fn bounds(&self) -> [[f64; 3]; 2] {
        let mut bounds = [[f64::INFINITY; 3], [f64::NEG_INFINITY; 3]];
        for &vertex in self.triangles.iter().flatten() {
            for (i, &x) in self.positions[vertex as usize].iter().enumerate() {
                (bounds[0][i], bounds[1][i]) = (bounds[0][i].min(x), bounds[1][i].max(x));
            }
        }
        bounds
    }

    /// The area, and the mean of the triangles' centres weighted by area: trimesh's `centroid`.
    pub fn area_and_centroid(&self) -> (f64, [f64; 3]) {
        let (mut area, mut sum) = (0.0, [0.0; 3]);
        for i in 0..self.triangles.len() {
            let corners = self.corners(i);
            let own = length(area_vector(corners)) / 2.0;
            area += own;
            for (axis, sum) in sum.iter_mut().enumerate() {
                *sum += own * (corners[0][axis] + corners[1][axis] + corners[2][axis]) / 3.0;
            }
        }
        if area > 0.0 {
            return (area, sum.map(|x| x / area));
        }
        let n = self.triangles.len().max(1) as f64 * 3.0;
        let all = self.triangles.iter().flatten().map(|&vertex| self.positions[vertex as usize]);
        let mean = all.fold([0.0; 3], |mean, p| std::array::from_fn(|i| mean[i] + p[i] / n));
        (area, mean)
    }

    /// The index of each vertex's position, equal ones having one, in the order in which faces use them; and their number.
    fn merged(&self) -> (Vec<u32>, usize) {
        let mut position_of = vec![u32::MAX; self.positions.len()];
        let mut known: HashMap<[u64; 3], u32> = HashMap::with_capacity(self.positions.len());
        for &vertex in self.triangles.iter().flatten() {
            let place = &mut position_of[vertex as usize];
            if *place == u32::MAX {
                // −0 is 0.
                let key = self.positions[vertex as usize].map(|x| (x + 0.0).to_bits());
                let next = known.len() as u32;
                *place = *known.entry(key).or_insert(next);
            }
        }
        (position_of, known.len())
    }

    /// Of a closed surface: the sum of tetrahedra to one of its corners.
    fn volume(&self) -> f64 {
        let origin = self.corners(0)[0];
        let six = (0..self.triangles.len()).map(|i| {
            let [a, b, c] = self.corners(i).map(|corner| minus(corner, origin));
            dot(a, cross(b, c))
        });
        six.sum::<f64>() / 6.0
    }
}

/// How many rows equal an earlier one.
fn repeats(rows: impl Iterator<Item = [u32; 3]>) -> usize {
    let mut rows: Vec<[u32; 3]> = rows.collect();
    rows.sort_unstable();
    rows.windows(2).filter(|pair| pair[0] == pair[1]).count()
}

/// Whether every edge has two triangles, and whether these run along it in opposite directions.
fn edges(triangles: &[[u32; 3]]) -> (bool, bool) {
    // A triangle with two corners in one place has no inside; its edges cancel each other.
    let whole = triangles.iter().filter(|[a, b, c]| a != b && b != c && c != a);
    let mut edges: Vec<(u32, u32, bool)> = whole
        .flat_map(|&[a, b, c]| [(a, b), (b, c), (c, a)])
        .map(|(a, b)| (a.min(b), a.max(b), a < b))
        .collect();
    edges.sort_unstable();
    let groups = || edges.chunk_by(|x, y| (x.0, x.1) == (y.0, y.1));
    let watertight = !edges.is_empty() && groups().all(|group| group.len() == 2);
    (watertight, groups().all(|group| group.len() == 2 && group[0].2 != group[1].2))
}
