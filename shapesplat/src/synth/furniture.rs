//! Shapes of several pieces: table, chair, mug, lamp.

use super::Draw;
use super::solid::{Solid, arc, edged};

const AROUND: usize = 32;
/// Steps around what is thin.
const THIN: usize = 12;

fn disc(solid: &mut Solid, middle: [f64; 3], radius: f64, height: f64, n: usize, tile: u8) {
    let points = [[0.0, 0.0], [radius, 0.0], [radius, height], [0.0, height]];
    solid.lathe(middle, &edged(&points), n, tile);
}

/// Four legs of a height at the corners of a rectangle.
fn legs(solid: &mut Solid, draw: &mut Draw, half: [f64; 2], height: f64) {
    let thickness = draw.between(0.03, 0.06);
    let is_round = draw.chance(0.5);
    let [x, z] = half.map(|side| side - thickness * 1.5);
    for middle in [[x, z], [-x, z], [x, -z], [-x, -z]] {
        if is_round {
            disc(solid, [middle[0], 0.0, middle[1]], thickness, height, THIN, 1);
        } else {
            let half = [thickness, height / 2.0, thickness];
            solid.cuboid([middle[0], height / 2.0, middle[1]], half, 1);
        }
    }
    if draw.chance(0.4) {
        let y = height * draw.between(0.2, 0.5);
        for side in [z, -z] {
            solid.cuboid([0.0, y, side], [x, thickness * 0.6, thickness * 0.6], 1);
        }
    }
}

pub(super) fn table(draw: &mut Draw) -> Solid {
    let mut solid = Solid::default();
    let height = draw.between(0.6, 1.1);
    let thickness = draw.between(0.04, 0.1);
    let width = draw.between(0.6, 1.0);
    if draw.chance(0.35) {
        disc(&mut solid, [0.0, height, 0.0], width, thickness, AROUND, 0);
        if draw.chance(0.5) {
            let foot = width * draw.between(0.5, 0.7);
            disc(&mut solid, [0.0, 0.0, 0.0], foot, thickness, AROUND, 1);
            disc(&mut solid, [0.0, thickness, 0.0], draw.between(0.05, 0.12), height - thickness, THIN, 1);
        } else {
            legs(&mut solid, draw, [width * 0.7; 2], height);
        }
    } else {
        let depth = width * draw.between(0.5, 1.0);
        solid.cuboid([0.0, height + thickness / 2.0, 0.0], [width, thickness / 2.0, depth], 0);
        legs(&mut solid, draw, [width, depth], height);
    }
    solid
}

pub(super) fn chair(draw: &mut Draw) -> Solid {
    let mut solid = Solid::default();
    let height = draw.between(0.7, 1.0);
    let thickness = draw.between(0.05, 0.12);
    let [width, depth] = [draw.between(0.4, 0.55), draw.between(0.4, 0.55)];
    solid.cuboid([0.0, height + thickness / 2.0, 0.0], [width, thickness / 2.0, depth], 0);
    legs(&mut solid, draw, [width, depth], height);
    let (back, slim) = (draw.between(0.7, 1.2), thickness / 2.0);
    // Its foot is within the seat.
    let (bottom, z) = (height + slim, slim - depth);
    if draw.chance(0.5) {
        solid.cuboid([0.0, bottom + back / 2.0, z], [width, back / 2.0, slim], 0);
    } else {
        for x in [-width + slim, width - slim] {
            solid.cuboid([x, bottom + back / 2.0, z], [slim, back / 2.0, slim], 1);
        }
        let n = 2 + draw.between(0.0, 3.0) as u32;
        for i in 1..=n {
            let y = bottom + back * f64::from(i) / f64::from(n) - back * 0.12;
            solid.cuboid([0.0, y, z], [width - 2.0 * slim, back * 0.1, slim * 0.7], 0);
        }
    }
    if draw.chance(0.35) {
        let rest = draw.between(0.25, 0.4);
        for x in [-width + slim, width - slim] {
            solid.cuboid([x, bottom + rest, 0.0], [slim, slim, depth * 0.9], 1);
            solid.cuboid([x, bottom + rest / 2.0, depth * 0.7], [slim, rest / 2.0, slim], 1);
        }
    }
    solid
}

pub(super) fn mug(draw: &mut Draw) -> Solid {
    let mut solid = Solid::default();
    let height = draw.between(1.6, 2.8);
    let foot = draw.between(0.75, 1.1);
    let wall = draw.between(0.08, 0.16);
    let bottom = draw.between(0.1, 0.2);
    let inner = foot + (1.0 - foot) * bottom / height - wall;
    let outside =
        [[0.0, 0.0], [foot, 0.0], [1.0, height], [1.0 - wall, height], [inner, bottom], [0.0, bottom]];
    solid.lathe([0.0; 3], &edged(&outside), AROUND, 0);
    let (middle, reach) = (height * draw.between(0.45, 0.6), draw.between(0.45, 0.75));
    let rise = height * draw.between(0.22, 0.32);
    // Its ends are in the wall.
    let path = arc([0.95 * (foot + 1.0) / 2.0, middle], [reach, rise], -0.24, 0.24, 16);
    solid.tube(&path, draw.between(0.09, 0.15), THIN, 0);
    solid
}

pub(super) fn lamp(draw: &mut Draw) -> Solid {
    let mut solid = Solid::default();
    let (foot, plate) = (draw.between(0.4, 0.7), draw.between(0.05, 0.12));
    disc(&mut solid, [0.0; 3], foot, plate, AROUND, 1);
    let pole = draw.between(1.0, 2.2);
    disc(&mut solid, [0.0, plate, 0.0], draw.between(0.04, 0.09), pole, THIN, 1);
    let (lower, upper) = (draw.between(0.6, 1.0), draw.between(0.3, 0.6));
    let (shade, wall) = (draw.between(0.6, 1.0), 0.04);
    let bottom = plate + pole - shade * draw.between(0.5, 0.8);
    let top = bottom + shade;
    let points =
        [[lower - wall, bottom], [lower, bottom], [upper, top], [upper - wall, top], [lower - wall, bottom]];
    solid.lathe([0.0; 3], &edged(&points), AROUND, 0);
    solid
}
