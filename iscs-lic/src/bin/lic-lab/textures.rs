//! Procedural pictures with the statistics of natural ones: dead leaves (Lee, Mumford and Huang 2001) under textures of 1/f noise.
//!
//! Disks of random colour cover each other, their radii distributed as r⁻³, so that there are edges at every scale. Each carries noise
//! whose amplitude halves with every octave. The picture is drawn at twice its size and averaged, as a lens would.

use std::path::Path;

use anyhow::Result;
use grouping_core::files::output::{Existing, write_folder};
use iscs_lic::picture::Picture;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Radii of the leaves, in pixels of the enlarged picture.
const RADII: [f64; 2] = [6.0, 240.0];
const N_OCTAVES: u32 = 6;
/// Leaves are drawn until few pixels are bare, and no more than this.
const MOST_LEAVES: usize = 20_000;

/// Writes `n` pictures of `side` pixels as PNG files into the folder `out`.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn write(out: &Path, n: usize, side: usize, seed: u64) -> Result<()> {
    write_folder(out, Existing::Replace, |staging| -> iscs_lic::Result<()> {
        for i in 0..n {
            let picture = picture(side, seed.wrapping_mul(1_000_003).wrapping_add(i as u64))?;
            picture.write_png(&staging.join(format!("{i:03}.png")), Existing::Refuse)?;
        }
        Ok(())
    })?;
    Ok(())
}

/// One picture.
fn picture(side: usize, seed: u64) -> iscs_lic::Result<Picture> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let big = 2 * side;
    let noises: Vec<Vec<f32>> = (0..3).map(|_| noise(big, &mut rng)).collect();
    let mut canvas = vec![[0.5_f32; 3]; big * big];
    let mut is_covered = vec![false; big * big];
    let mut n_bare = big * big;
    let mut n_leaves = 0;
    // From the front to the back: a pixel takes the first leaf that covers it.
    while n_bare * 200 > big * big && n_leaves < MOST_LEAVES {
        n_leaves += 1;
        let share: f64 = rng.random();
        let ratio = RADII[0] / RADII[1];
        let radius = RADII[0] / (1.0 - share * (1.0 - ratio * ratio)).sqrt();
        let [x, y]: [f64; 2] =
            [rng.random(), rng.random()].map(|at: f64| at * (big as f64 + 2.0 * radius) - radius);
        let grey: f32 = rng.random();
        let tint: [f32; 3] = std::array::from_fn(|_| rng.random::<f32>() - 0.5);
        let (contrast, texture) = (rng.random::<f32>() * 0.5, rng.random_range(0..noises.len()));
        let rows = (y - radius).max(0.0) as usize..((y + radius).max(0.0) as usize).min(big - 1) + 1;
        for row in rows {
            let half = (radius * radius - (row as f64 - y).powi(2)).max(0.0).sqrt();
            let columns = (x - half).max(0.0) as usize..((x + half).max(0.0) as usize).min(big - 1) + 1;
            for column in columns {
                let at = row * big + column;
                if !is_covered[at] {
                    is_covered[at] = true;
                    n_bare -= 1;
                    let light = grey + contrast * noises[texture][at];
                    canvas[at] = tint.map(|tint| light + 0.3 * tint);
                }
            }
        }
    }
    let mut rgb = Vec::with_capacity(side * side * 3);
    for y in 0..side {
        for x in 0..side {
            rgb.extend(std::array::from_fn::<u8, 3, _>(|channel| {
                let at = |dy: usize, dx: usize| canvas[(2 * y + dy) * big + 2 * x + dx][channel];
                let mean = (at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4.0;
                (mean.clamp(0.0, 1.0) * 255.0).round_ties_even() as u8
            }));
        }
    }
    Picture::new(side, side, rgb)
}

/// A plane of noise around 0: octaves of random lattices, interpolated, each of half the amplitude and half the spacing of the last.
fn noise(side: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let mut plane = vec![0.0; side * side];
    for octave in 0..N_OCTAVES {
        let spacing = (side >> (octave + 2)).max(1);
        let n = side / spacing + 2;
        let lattice: Vec<f32> = (0..n * n).map(|_| rng.random::<f32>() - 0.5).collect();
        let amplitude = 0.5_f32.powi(octave as i32);
        for (at, value) in plane.iter_mut().enumerate() {
            let (y, x) = (at / side, at % side);
            let (row, column) = (y / spacing, x / spacing);
            let part = |v: usize| (v % spacing) as f32 / spacing as f32;
            let (v, u) = (part(y), part(x));
            let corner = |dy: usize, dx: usize| lattice[(row + dy) * n + column + dx];
            let top = corner(0, 0) * (1.0 - u) + corner(0, 1) * u;
            let bottom = corner(1, 0) * (1.0 - u) + corner(1, 1) * u;
            *value += amplitude * (top * (1.0 - v) + bottom * v);
        }
    }
    plane
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_a_picture_with_edges_and_textures() {
        let made = |seed| picture(48, seed).expect("a picture");
        assert_eq!(made(1), made(1), "a seed, a picture");
        assert_ne!(made(1), made(2), "another seed, another picture");
        let picture = made(1);
        let greys: Vec<f64> = picture.rgb().iter().map(|&v| f64::from(v)).collect();
        let mean = greys.iter().sum::<f64>() / greys.len() as f64;
        let variance = greys.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / greys.len() as f64;
        assert!((400.0..8_000.0).contains(&variance), "variance {variance}");
    }
}
