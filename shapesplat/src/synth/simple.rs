//! Shapes of one piece: box, ellipsoid, cylinder, cone, torus, capsule.

use super::Draw;
use super::solid::{Solid, arc, edged};

/// Steps around the vertical.
const AROUND: usize = 32;
/// Steps of half an arc.
const HALF: usize = 16;

pub(super) fn cuboid(draw: &mut Draw) -> Solid {
    let mut solid = Solid::default();
    let half = [draw.between(0.25, 0.6), draw.between(0.15, 0.6), draw.between(0.25, 0.6)];
    solid.cuboid([0.0; 3], half, 0);
    solid
}

pub(super) fn ellipsoid(draw: &mut Draw) -> Solid {
    let mut solid = Solid::default();
    let (height, depth) = (draw.between(0.5, 1.3), draw.between(0.6, 1.0));
    // To the exact poles, where a cosine is no zero.
    let mut profile = arc([0.0, 0.0], [1.0, height], -0.25, 0.25, HALF);
    for end in [0, HALF] {
        profile[end].at[0] = 0.0;
    }
    solid.lathe([0.0; 3], &[profile], AROUND, 0);
    for (position, normal) in solid.positions.iter_mut().zip(&mut solid.normals) {
        position[2] *= depth;
        normal[2] /= depth;
        let length = (normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2]).sqrt();
        *normal = normal.map(|x| x / length);
    }
    solid
}

pub(super) fn cylinder(draw: &mut Draw) -> Solid {
    let mut solid = Solid::default();
    let height = draw.between(0.8, 3.0);
    solid.lathe([0.0; 3], &edged(&[[0.0, 0.0], [1.0, 0.0], [1.0, height], [0.0, height]]), AROUND, 0);
    solid
}

pub(super) fn cone(draw: &mut Draw) -> Solid {
    let mut solid = Solid::default();
    let height = draw.between(1.4, 3.2);
    let tip = if draw.chance(0.5) { 0.0 } else { draw.between(0.05, 0.25) };
    let mut points = vec![[0.0, 0.0]];
    if draw.chance(0.3) {
        // A foot, as traffic cones have one.
        points.extend([[1.3, 0.0], [1.3, 0.08], [1.0, 0.08]]);
    } else {
        points.push([1.0, 0.0]);
    }
    points.push([tip, height]);
    if tip > 0.0 {
        points.push([0.0, height]);
    }
    solid.lathe([0.0; 3], &edged(&points), AROUND, 0);
    solid
}

pub(super) fn torus(draw: &mut Draw) -> Solid {
    let mut solid = Solid::default();
    let thickness = draw.between(0.18, 0.48);
    let flatness = draw.between(0.8, 1.2);
    let mut profile = arc([1.0, 0.0], [thickness, thickness * flatness], -0.5, 0.5, HALF);
    profile[HALF] = profile[0];
    solid.lathe([0.0; 3], &[profile], AROUND, 0);
    solid
}

pub(super) fn capsule(draw: &mut Draw) -> Solid {
    let mut solid = Solid::default();
    let height = draw.between(0.8, 3.0);
    let mut lower = arc([0.0, 0.0], [1.0, 1.0], -0.25, 0.0, HALF / 2);
    lower[0].at[0] = 0.0;
    let mut upper = arc([0.0, height], [1.0, 1.0], 0.0, 0.25, HALF / 2);
    upper[HALF / 2].at[0] = 0.0;
    lower.append(&mut upper);
    solid.lathe([0.0; 3], &[lower], AROUND, 0);
    if draw.chance(0.5) {
        // Lying, as pills do.
        for v in solid.positions.iter_mut().chain(&mut solid.normals) {
            *v = [v[1], -v[0], v[2]];
        }
    }
    solid
}
