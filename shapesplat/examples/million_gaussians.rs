//! Writes a file of random Gaussians of degree 3, or a lower one, to time conversions on: a million of them are 248 MB as PLY.
//!
//! ```sh
//! cargo run --release -p shapesplat --example million_gaussians -- million.ply 1000000 7
//! time target/release/shapesplat convert million.ply million.compressed.ply
//! ```
//!
//! Positions lie in blobs, scales and opacities spread as those of trained scenes do; every value is a formula of its row, its column and
//! the seed.

use std::path::Path;

use grouping_core::files::output::Existing;
use grouping_core::seed::{derive_seed, sequence};
use shapesplat::Splats;
use shapesplat::edit::{Action, apply};
use shapesplat::format::{WriteOptions, write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(n), Some(seed)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: million_gaussians FILE NUMBER SEED [DEGREE]".into());
    };
    let mut splats = random(n.parse()?, seed.parse()?);
    if let Some(degree) = args.next() {
        apply(&mut splats, &[Action::Degree(degree.parse()?)])?;
    }
    write(&splats, Path::new(&path), Existing::Replace, &WriteOptions::default())?;
    Ok(())
}

/// `n` Gaussians.
pub(crate) fn random(n: usize, seed: u64) -> Splats {
    let uniform =
        |column: u64, row: u64| (sequence(derive_seed(seed, column), row) >> 40) as f32 / (1 << 24) as f32;
    // The sum of four uniform numbers is near enough to a normal one: mean 0, deviation 1.
    let normal = |column: u64, row: u64| {
        let sum: f32 = (0..4).map(|i| uniform(4 * column + i, row)).sum();
        (sum - 2.0) * 3f32.sqrt()
    };
    let column = |of: &dyn Fn(u64) -> f32| (0..n as u64).map(of).collect::<Vec<f32>>();
    let blob = |row: u64| sequence(seed, row) % 64;
    Splats {
        positions: [0, 1, 2]
            .map(|axis| column(&|row| 2.0 * normal(100 + axis, blob(row)) + 0.3 * normal(axis, row))),
        dc: [3, 4, 5].map(|c| column(&|row| normal(c, row))),
        rest: (6..51).map(|c| column(&|row| 0.15 * normal(c, row))).collect(),
        opacities: column(&|row| 3.0 * normal(51, row)),
        scales: [52, 53, 54].map(|c| column(&|row| normal(c, row) - 5.0)),
        rotations: [55, 56, 57, 58].map(|c| column(&|row| normal(c, row))),
        ..Splats::default()
    }
}
