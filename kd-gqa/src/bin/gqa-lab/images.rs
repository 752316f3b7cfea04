//! Procedural images of ten classes, 32 × 32 pixels.
//!
//! A class is a figure: disc, ring, square, frame, triangle, plus, saltire, and stripes along, across and in both directions (a chequerboard). Place, size, angle and two
//! colours are drawn at random, over a background that changes from corner to corner, under noise, with two small figures of other classes as distraction.

use std::ops::Range;
use std::path::Path;

use grouping_core::files::output::{Existing, write_folder};
use grouping_core::seed::derive_seed;
use image::{Rgb, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use kd_gqa::{Error, Result};

/// Side of an image, in pixels.
pub(crate) const SIDE: usize = 32;
/// Names of the classes, in the order of their indices and of the alphabet.
pub(crate) const CLASSES: [&str; 10] =
    ["across", "along", "chequers", "disc", "frame", "plus", "ring", "saltire", "square", "triangle"];

/// Standard deviation of the noise, in values from 0 to 1.
const NOISE: f32 = 0.12;

/// Draws image `index` of a class: `[3, 32, 32]`, values from 0 to 1. The same arguments give the same image.
pub(crate) fn draw(class: usize, index: usize, seed: u64) -> Vec<f32> {
    assert!(class < CLASSES.len(), "there are {} classes, no class {class}", CLASSES.len());
    let seed = derive_seed(derive_seed(seed, class as u64), index as u64);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let corners: [[f32; 3]; 4] = std::array::from_fn(|_| colour(&mut rng));
    let mut figures = vec![];
    for _ in 0..2 {
        let other = rng.random_range(0..CLASSES.len());
        figures.push(Figure::random(other, 2.0..4.0, 3.0..29.0, &mut rng));
    }
    figures.push(Figure::random(class, 7.0..12.0, 11.0..21.0, &mut rng));
    let mut values = vec![0.0; 3 * SIDE * SIDE];
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (u, v) = (x as f32 / (SIDE - 1) as f32, y as f32 / (SIDE - 1) as f32);
            let weights = [(1.0 - u) * (1.0 - v), u * (1.0 - v), (1.0 - u) * v, u * v];
            let covering = figures.iter().rev().find(|figure| figure.covers(x as f32, y as f32));
            for channel in 0..3 {
                let ground: f32 = weights.iter().zip(&corners).map(|(w, corner)| w * corner[channel]).sum();
                let paint = covering.map_or(ground, |figure| figure.colour[channel]);
                let noise = NOISE * gaussian(&mut rng);
                values[(channel * SIDE + y) * SIDE + x] = (paint + noise).clamp(0.0, 1.0);
            }
        }
    }
    values
}

/// Writes PNG files into folders of the classes' names below `dir`, which must not hold them; each folder appears whole.
///
/// # Errors
/// [`Error::Exists`](grouping_core::Error::Exists) or [`Error::Io`](grouping_core::Error::Io).
pub(crate) fn write(dir: &Path, indices: &Range<usize>, seed: u64) -> Result<()> {
    CLASSES.iter().enumerate().try_for_each(|(class, name)| {
        write_folder(&dir.join(name), Existing::Refuse, |folder| write_class(folder, class, indices, seed))
    })
}

/// Writes a PNG file for each index of a class into a folder, which it makes where there is none.
///
/// # Errors
/// [`Error::Io`](grouping_core::Error::Io).
pub(crate) fn write_class(folder: &Path, class: usize, indices: &Range<usize>, seed: u64) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder, "create"))?;
    indices.clone().into_par_iter().try_for_each(|index| {
        let values = draw(class, index, seed);
        let image = RgbImage::from_fn(SIDE as u32, SIDE as u32, |x, y| {
            let at = y as usize * SIDE + x as usize;
            Rgb(std::array::from_fn(|channel| (values[channel * SIDE * SIDE + at] * 255.0).round() as u8))
        });
        let path = folder.join(format!("{index:05}.png"));
        image.save(&path).map_err(|e| Error::io(&path, "write")(std::io::Error::other(e)))
    })
}

/// A figure with its place.
struct Figure {
    class: usize,
    centre: [f32; 2],
    radius: f32,
    angle: f32,
    colour: [f32; 3],
}

impl Figure {
    fn random(class: usize, radius: Range<f32>, place: Range<f32>, rng: &mut ChaCha8Rng) -> Self {
        let centre = [rng.random_range(place.clone()), rng.random_range(place)];
        // A tilt that never makes a plus a saltire, or stripes along stripes across.
        let angle = rng.random_range(-0.3..0.3);
        Self { class, centre, radius: rng.random_range(radius), angle, colour: colour(rng) }
    }

    /// Whether the figure has paint at a pixel.
    fn covers(&self, x: f32, y: f32) -> bool {
        let (dx, dy) = (x - self.centre[0], y - self.centre[1]);
        let (sin, cos) = self.angle.sin_cos();
        let (u, v) = ((cos * dx + sin * dy) / self.radius, (cos * dy - sin * dx) / self.radius);
        let (distance, reach) = (u.hypot(v), u.abs().max(v.abs()));
        let odd = |w: f32| (w * 2.5).floor().rem_euclid(2.0) == 1.0;
        match CLASSES[self.class] {
            "disc" => distance <= 0.95,
            "ring" => (0.6..=1.0).contains(&distance),
            "square" => reach <= 0.8,
            "frame" => (0.5..=0.85).contains(&reach),
            "triangle" => v <= 0.7 && v >= 2.0 * u.abs() - 0.9,
            "plus" => reach <= 0.95 && u.abs().min(v.abs()) <= 0.25,
            "saltire" => reach <= 0.85 && (u.abs() - v.abs()).abs() <= 0.35,
            "across" => reach <= 0.95 && odd(u),
            "along" => reach <= 0.95 && odd(v),
            _ => reach <= 0.95 && odd(u) != odd(v),
        }
    }
}

fn colour(rng: &mut ChaCha8Rng) -> [f32; 3] {
    std::array::from_fn(|_| rng.random_range(0.0..1.0))
}

/// A standard normal value (Box and Muller 1958).
fn gaussian(rng: &mut ChaCha8Rng) -> f32 {
    let (u, v): (f32, f32) = (rng.random_range(f32::EPSILON..1.0), rng.random_range(0.0..1.0));
    (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_repeat_and_differ() {
        for class in 0..CLASSES.len() {
            let values = draw(class, 9, 2);
            assert_eq!(values.len(), 3 * SIDE * SIDE, "three channels");
            assert!(values.iter().all(|v| (0.0..=1.0).contains(v)), "values from 0 to 1");
            assert_eq!(values, draw(class, 9, 2), "the same arguments, the same image");
            assert_ne!(values, draw(class, 9, 3), "another seed, another image");
            assert_ne!(values, draw(class, 8, 2), "another index, another image");
        }
    }
}
