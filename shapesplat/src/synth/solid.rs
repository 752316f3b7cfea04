//! Closed surfaces with normals and texture coordinates: boxes, solids of revolution, bent tubes.

use super::turn::turn;
use crate::mesh::{Material, Mesh, Part};

/// Surfaces under construction. Texture coordinates are those of a tile, and the tile's number.
#[derive(Default)]
pub(super) struct Solid {
    pub(super) positions: Vec<[f64; 3]>,
    pub(super) normals: Vec<[f64; 3]>,
    uvs: Vec<[f64; 2]>,
    tiles: Vec<u8>,
    triangles: Vec<[u32; 3]>,
}

/// A point of a profile that turns about the vertical, or about a tube's path: radius, height, and the normal in that plane.
#[derive(Clone, Copy)]
pub(super) struct Rim {
    pub(super) at: [f64; 2],
    pub(super) normal: [f64; 2],
}

/// Profiles of straight lines, each with its own normal, from the bottom outwards and up.
pub(super) fn edged(points: &[[f64; 2]]) -> Vec<Vec<Rim>> {
    let line = |pair: &[[f64; 2]]| {
        let [dr, dy] = [pair[1][0] - pair[0][0], pair[1][1] - pair[0][1]];
        let length = (dr * dr + dy * dy).sqrt();
        let normal = [dy / length, -dr / length];
        vec![Rim { at: pair[0], normal }, Rim { at: pair[1], normal }]
    };
    points.windows(2).map(line).collect()
}

/// An arc of an ellipse about a point, from one number of turns to another, 0 pointing outwards and a quarter upwards.
pub(super) fn arc(middle: [f64; 2], radii: [f64; 2], from: f64, to: f64, n: usize) -> Vec<Rim> {
    let point = |i: usize| {
        let [cos, sin] = turn(from + (to - from) * i as f64 / n as f64);
        let [a, b] = radii;
        let slope = [b * cos, a * sin];
        let length = (slope[0] * slope[0] + slope[1] * slope[1]).sqrt();
        Rim { at: [middle[0] + a * cos, middle[1] + b * sin], normal: slope.map(|x| x / length) }
    };
    (0..=n).map(point).collect()
}

impl Solid {
    fn vertex(&mut self, position: [f64; 3], normal: [f64; 3], uv: [f64; 2], tile: u8) -> u32 {
        self.positions.push(position);
        self.normals.push(normal);
        self.uvs.push(uv);
        self.tiles.push(tile);
        (self.positions.len() - 1) as u32
    }

    /// A triangle, unless two of its corners are one place.
    fn triangle(&mut self, corners: [u32; 3]) {
        let [a, b, c] = corners.map(|vertex| self.positions[vertex as usize]);
        if a != b && b != c && c != a {
            self.triangles.push(corners);
        }
    }

    /// A grid of `rows` × `columns` vertices from `start`, each row after the other: the two triangles of each cell.
    fn cells(&mut self, start: u32, rows: usize, columns: usize) {
        for row in 0..rows as u32 - 1 {
            for column in 0..columns as u32 - 1 {
                let a = start + row * columns as u32 + column;
                let (b, d) = (a + 1, a + columns as u32);
                self.triangle([a, b, d + 1]);
                self.triangle([a, d + 1, d]);
            }
        }
    }

    /// A box around `middle`, with half its sides.
    pub(super) fn cuboid(&mut self, middle: [f64; 3], half: [f64; 3], tile: u8) {
        for axis in 0..3 {
            for sign in [-1.0, 1.0] {
                let mut normal = [0.0; 3];
                normal[axis] = sign;
                let (across, up) = ((axis + 1) % 3, (axis + 2) % 3);
                let start = self.positions.len() as u32;
                for [s, t] in [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]] {
                    let mut position = middle;
                    position[axis] += sign * half[axis];
                    position[across] += sign * s * half[across];
                    position[up] += t * half[up];
                    self.vertex(position, normal, [(s + 1.0) / 2.0, (t + 1.0) / 2.0], tile);
                }
                self.triangle([start, start + 1, start + 2]);
                self.triangle([start, start + 2, start + 3]);
            }
        }
    }

    /// Profiles turned about the vertical through `middle` in `n` steps. The tile goes around once and up along the profiles.
    pub(super) fn lathe(&mut self, middle: [f64; 3], profiles: &[Vec<Rim>], n: usize, tile: u8) {
        let step = |a: Rim, b: Rim| {
            let [dr, dy] = [b.at[0] - a.at[0], b.at[1] - a.at[1]];
            (dr * dr + dy * dy).sqrt()
        };
        let total: f64 = profiles.iter().flat_map(|p| p.windows(2)).map(|pair| step(pair[0], pair[1])).sum();
        let mut gone = 0.0;
        for profile in profiles {
            let start = self.positions.len() as u32;
            for (i, rim) in profile.iter().enumerate() {
                if i > 0 {
                    gone += step(profile[i - 1], *rim);
                }
                for j in 0..=n {
                    let [cos, sin] = turn((j % n) as f64 / n as f64);
                    let ([r, y], [nr, ny]) = (rim.at, rim.normal);
                    let position = [middle[0] + r * cos, middle[1] + y, middle[2] - r * sin];
                    let uv = [j as f64 / n as f64, gone / total];
                    self.vertex(position, [nr * cos, ny, -nr * sin], uv, tile);
                }
            }
            self.cells(start, profile.len(), n + 1);
        }
    }

    /// A tube of a radius along an arc in the plane z = 0, with flat ends.
    pub(super) fn tube(&mut self, path: &[Rim], radius: f64, n: usize, tile: u8) {
        let start = self.positions.len() as u32;
        let ring = |solid: &mut Self, rim: &Rim, v: f64, facing: Option<[f64; 3]>| {
            for j in 0..=n {
                let [cos, sin] = turn((j % n) as f64 / n as f64);
                let out = [rim.normal[0] * cos, rim.normal[1] * cos, sin];
                let position = [rim.at[0] + radius * out[0], rim.at[1] + radius * out[1], radius * sin];
                solid.vertex(position, facing.unwrap_or(out), [j as f64 / n as f64, v], tile);
            }
        };
        for (i, rim) in path.iter().enumerate() {
            ring(self, rim, i as f64 / (path.len() - 1) as f64, None);
        }
        // Along the path, the normal turns to the left: rings go around the other way.
        let grid = self.triangles.len();
        self.cells(start, path.len(), n + 1);
        self.triangles[grid..].iter_mut().for_each(|[_, b, c]| std::mem::swap(b, c));
        for (rim, is_end) in [(&path[0], false), (&path[path.len() - 1], true)] {
            let sign = if is_end { 1.0 } else { -1.0 };
            let along = [-rim.normal[1] * sign, rim.normal[0] * sign, 0.0];
            let middle = self.vertex([rim.at[0], rim.at[1], 0.0], along, [0.5; 2], tile);
            ring(self, rim, 0.5, Some(along));
            for j in 0..n as u32 {
                let [a, b] = [middle + 1 + j, middle + 2 + j];
                self.triangle(if is_end { [middle, b, a] } else { [middle, a, b] });
            }
        }
    }

    /// The mesh, its numbers rounded to a millionth, so that a file of it holds the same.
    pub(super) fn mesh(self, name: &str, material: Material) -> Mesh {
        let rounded = |x: f64| (x * 1e6).round() / 1e6 + 0.0;
        let n_tiles = f64::from(self.tiles.iter().max().map_or(1, |tile| tile + 1));
        let width = f64::from(material.texture.as_ref().map_or(1, |texture| texture.image.width()));
        let inset = 0.5 / width;
        let uvs = self.uvs.iter().zip(&self.tiles).map(|(&[u, v], &tile)| {
            // Between the centres of a tile's outermost pixels.
            let left = f64::from(tile) / n_tiles + inset;
            let u = left + u * (1.0 / n_tiles - 2.0 * inset);
            let inset = inset * n_tiles;
            [u, inset + v * (1.0 - 2.0 * inset)].map(|x| rounded(x) as f32)
        });
        let part = Part { name: name.to_owned(), triangles: 0..self.triangles.len(), material: Some(0) };
        Mesh {
            uvs: uvs.collect(),
            positions: self.positions.iter().map(|p| p.map(rounded)).collect(),
            normals: self.normals.iter().map(|n| n.map(|x| rounded(x) as f32)).collect(),
            triangles: self.triangles,
            parts: vec![part],
            materials: vec![material],
            ..Mesh::default()
        }
    }
}
