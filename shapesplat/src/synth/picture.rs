//! A small picture of a mesh, seen from above its front, to look at.

use image::{Rgb, RgbImage};

use crate::mesh::Mesh;
use crate::mesh::vector::{dot, unit};

/// Each pixel is the mean of so many in a row and a column.
const FINER: u32 = 2;
const GROUND: [f32; 3] = [1.0; 3];
const LIGHT: [f64; 3] = [0.35, 0.8, 0.5];

/// A square picture by parallel projection, of a mesh in ShapeNet's frame: y upwards, at most 1 across, around the origin.
pub fn picture(mesh: &Mesh, side: u32) -> RgbImage {
    let fine = (side * FINER) as usize;
    let mut pixels = vec![GROUND; fine * fine];
    let mut depths = vec![f64::NEG_INFINITY; fine * fine];
    // The viewer looks down along this axis; to the right and upwards lie the others.
    let (right, up, back) = (
        [0.8, 0.0, -0.6],
        [-0.24, 0.916_515_138_991_168, -0.32],
        [0.549_909_083_394_701, 0.4, 0.733_212_111_192_934],
    );
    let light = unit(LIGHT).unwrap_or_default();
    let scale = fine as f64 * 0.96;
    for triangle in 0..mesh.triangles.len() {
        let corners = mesh.corners(triangle);
        let flat = corners
            .map(|p| [dot(p, right) * scale + fine as f64 / 2.0, fine as f64 / 2.0 - dot(p, up) * scale]);
        let [a, b, c] = flat;
        let area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
        if area == 0.0 {
            continue;
        }
        let range = |axis: usize| {
            let (least, most) =
                flat.iter().fold((f64::INFINITY, 0.0_f64), |(l, m), p| (l.min(p[axis]), m.max(p[axis])));
            (least.max(0.0) as usize)..(most.ceil().max(0.0) as usize).min(fine)
        };
        for y in range(1) {
            for x in range(0) {
                let [px, py] = [x as f64 + 0.5, y as f64 + 0.5];
                let side = |p: [f64; 2], q: [f64; 2]| {
                    ((q[0] - p[0]) * (py - p[1]) - (q[1] - p[1]) * (px - p[0])) / area
                };
                let weights = [side(b, c), side(c, a), side(a, b)];
                if weights.iter().any(|&w| w < 0.0) {
                    continue;
                }
                let depth: f64 = (0..3).map(|i| weights[i] * dot(corners[i], back)).sum();
                let at = y * fine + x;
                if depth > depths[at] {
                    depths[at] = depth;
                    let normal = mesh.normal(triangle, weights).map(f64::from);
                    let shade = 0.45 + 0.55 * dot(normal, light).max(0.0);
                    pixels[at] = mesh.colour(triangle, weights).map(|x| x * shade as f32);
                }
            }
        }
    }
    RgbImage::from_fn(side, side, |x, y| {
        let mut sum = [0.0; 3];
        for (dx, dy) in (0..FINER * FINER).map(|i| (i % FINER, i / FINER)) {
            let pixel = pixels[((y * FINER + dy) as usize) * fine + (x * FINER + dx) as usize];
            sum = std::array::from_fn(|i| sum[i] + pixel[i]);
        }
        Rgb(sum.map(|x| (x / (FINER * FINER) as f32 * 255.0 + 0.5) as u8))
    })
}
