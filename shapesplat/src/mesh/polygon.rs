//! Polygons cut into triangles: convex ones as a fan from their first corner, others by ear clipping on the polygon's plane.
//!
//! The plane is that of Newell's normal (the sum of cross products around the polygon). A polygon without a normal, or of which ear
//! clipping makes nothing, becomes a fan too: its triangles have no area or cross each other, as the polygon does.

use earcut::{Earcut, utils3d};

use super::vector::{cross, dot, length, minus, unit};

/// Above this number of corners a polygon that is not convex is refused: the time of ear clipping grows with its square, or faster.
pub(super) const MOST_CORNERS: usize = 4096;

/// Cuts one polygon after another.
pub(super) struct Cutter {
    earcut: Earcut<f64>,
    flat: Vec<[f64; 2]>,
    indices: Vec<u32>,
}

/// A polygon with too many corners, and not convex.
#[derive(Debug)]
pub(super) struct TooLarge;

impl Cutter {
    pub(super) fn new() -> Self {
        Self { earcut: Earcut::new(), flat: vec![], indices: vec![] }
    }

    /// The triangles of a polygon of at least three corners, as indices of its corners, each turned as the polygon is.
    pub(super) fn cut(&mut self, corners: &[[f64; 3]]) -> Result<&[u32], TooLarge> {
        self.indices.clear();
        if corners.len() > 3
            && let Some(normal) = normal(corners)
            && !is_convex(corners, normal)
        {
            if corners.len() > MOST_CORNERS {
                return Err(TooLarge);
            }
            if utils3d::project3d_to_2d(corners, corners.len(), &mut self.flat) {
                let none: &[u32] = &[];
                self.earcut.earcut_slice(&self.flat, none, &mut self.indices);
                self.turn(corners, normal);
            }
        }
        if self.indices.is_empty() {
            let fan = 1..corners.len().saturating_sub(1) as u32;
            self.indices.extend(fan.flat_map(|i| [0, i, i + 1]));
        }
        Ok(&self.indices)
    }

    /// Gives each triangle the polygon's own sense of rotation.
    fn turn(&mut self, corners: &[[f64; 3]], normal: [f64; 3]) {
        for [a, b, c] in self.indices.as_chunks_mut::<3>().0 {
            let [p, q, r] = [*a, *b, *c].map(|i| corners[i as usize]);
            if dot(cross(minus(q, p), minus(r, p)), normal) < 0.0 {
                std::mem::swap(b, c);
            }
        }
    }
}

/// Newell's normal, of length 1.
fn normal(corners: &[[f64; 3]]) -> Option<[f64; 3]> {
    let first = corners[0];
    let mut sum = [0.0; 3];
    for pair in corners.windows(2) {
        let part = cross(minus(pair[0], first), minus(pair[1], first));
        sum = [sum[0] + part[0], sum[1] + part[1], sum[2] + part[2]];
    }
    unit(sum)
}

/// Whether every corner turns the way of the polygon, within rounding, and all turns together are one.
fn is_convex(corners: &[[f64; 3]], normal: [f64; 3]) -> bool {
    let n = corners.len();
    let edge = |i: usize| minus(corners[(i + 1) % n], corners[i % n]);
    let turns_back = (0..n).any(|i| {
        let (a, b) = (edge(i), edge(i + 1));
        dot(cross(a, b), normal) < -1e-12 * length(a) * length(b)
    });
    if turns_back {
        return false;
    }
    // Seen along the first edge, the sides of a convex polygon go up once and come down once.
    let Some(along) = (0..n).map(edge).find_map(unit) else { return true };
    let signs = (0..n).map(|i| dot(edge(i), along)).filter(|x| *x != 0.0).map(|x| x > 0.0);
    let signs: Vec<bool> = signs.collect();
    let changes = (0..signs.len()).filter(|&i| signs[i] != signs[(i + 1) % signs.len()]).count();
    changes <= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(corners: &[[f64; 3]]) -> f64 {
        let mut cutter = Cutter::new();
        let indices = cutter.cut(corners).expect("few corners").to_vec();
        let triangles = indices.as_chunks::<3>().0.iter().map(|t| t.map(|i| corners[i as usize]));
        triangles.map(|t| length(super::super::vector::area_vector(t)) / 2.0).sum()
    }

    #[test]
    fn concave_polygons_keep_their_area_from_every_corner_and_in_every_plane() {
        let flat = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 0.5], [0.0, 1.0]];
        for start in 0..5 {
            for reversed in [false, true] {
                let mut corners: Vec<[f64; 3]> =
                    (0..5).map(|i| flat[(start + i) % 5]).map(|[x, y]| [0.6 * x, y, 0.8 * x]).collect();
                if reversed {
                    corners.reverse();
                }
                let found = area(&corners);
                assert!((found - 0.75).abs() < 1e-12, "begun at {start}, reversed {reversed}: area {found}");
            }
        }
    }

    #[test]
    fn triangles_are_turned_as_their_polygon_is() {
        let corners = [[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 4.0, 0.0]];
        for reversed in [false, true] {
            let mut corners = corners;
            if reversed {
                corners.reverse();
            }
            let mut cutter = Cutter::new();
            for t in cutter.cut(&corners).expect("few corners").as_chunks::<3>().0 {
                let [a, b, c] = t.map(|i| corners[i as usize]);
                let up = cross(minus(b, a), minus(c, a))[2];
                assert!(up != 0.0 && (up < 0.0) == reversed, "{t:?} of a polygon reversed {reversed}: {up}");
            }
        }
    }

    #[test]
    fn a_star_is_not_taken_for_convex() {
        let star: Vec<[f64; 3]> = (0..5)
            .map(|i| f64::from(i) * 0.8 * std::f64::consts::PI)
            .map(|a| [a.cos(), a.sin(), 0.0])
            .collect();
        let normal = normal(&star).expect("a plane");
        assert!(!is_convex(&star, normal), "it turns twice");
        assert!(
            is_convex(&[[0.0; 3], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]], [0.0, 0.0, 1.0]),
            "a square"
        );
    }

    #[test]
    fn polygons_without_area_become_fans() {
        let line: Vec<[f64; 3]> = (0..5).map(|i| [f64::from(i), 0.0, 0.0]).collect();
        let mut cutter = Cutter::new();
        assert_eq!(cutter.cut(&line).expect("few corners").len(), 9, "three triangles without area");
    }
}
