//! k-means against scikit-learn, its forms against each other, its invariants and its refusals.

mod antipodal;
mod forms;
mod golden;
mod properties;
mod refusals;

use grouping_core::matrix::Matrix;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// `k` noisy groups in `d` dimensions: `n` points around centres drawn from `[−spread, spread]`.
fn groups(n: usize, d: usize, k: usize, spread: f32, seed: u64) -> Matrix {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let centres: Vec<f32> = (0..k * d).map(|_| rng.random_range(-spread..spread)).collect();
    let values = (0..n).flat_map(|_| {
        let j = rng.random_range(0..k as u64) as usize;
        // Four uniform draws, summed: near enough to normal, and the same on every platform.
        let noise: Vec<f32> =
            (0..d).map(|_| (0..4).map(|_| rng.random_range(-0.5..0.5f32)).sum::<f32>()).collect();
        centres[j * d..(j + 1) * d].iter().zip(noise).map(|(c, e)| c + e).collect::<Vec<f32>>()
    });
    Matrix::new(n, d, values.collect()).expect("n rows of d values")
}
