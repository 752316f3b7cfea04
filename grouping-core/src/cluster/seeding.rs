//! Points that become the first centroids: greedy k-means++, or uniform draws.
//!
//! Greedy k-means++ (Arthur & Vassilvitskii 2007, §2 and §4; the variant of scikit-learn): with `D_i` the squared
//! distance of point `i` from the chosen ones, `2 + ⌊ln k⌋` candidates are drawn with probability `D_i / Σ D` and the
//! one that leaves the least `Σ D` is kept. Chosen points are distinct: when all that remain have `D_i = 0`, the
//! lowest index not yet chosen follows.
//!
//! The draws happen here, on the host and in `f64`, for every form of the points.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::config::{Init, KMeansConfig};
use super::space::Space;
use crate::Result;

/// Indices of the `k` points that a restart begins with.
pub(super) fn draw_points<S: Space>(space: &S, config: &KMeansConfig, restart: usize) -> Result<Vec<usize>> {
    let (n, k) = (space.n_points(), config.n_clusters);
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    rng.set_stream(restart as u64);
    match config.init {
        Init::Random => Ok(rand::seq::index::sample(&mut rng, n, k).into_vec()),
        _ => plus_plus(space, k, &mut rng),
    }
}

fn plus_plus<S: Space>(space: &S, k: usize, rng: &mut ChaCha8Rng) -> Result<Vec<usize>> {
    let n = space.n_points();
    let n_trials = 2 + (k as f64).ln() as usize;
    let mut chosen = vec![rng.random_range(0..n as u64) as usize];
    let mut closest = space.squared_distances(&chosen)?;
    closest[chosen[0]] = 0.0;
    let mut cumulative = vec![0.0; n];
    while chosen.len() < k {
        let mut total = 0.0;
        for (sum, d) in cumulative.iter_mut().zip(&closest) {
            total += d;
            *sum = total;
        }
        if total == 0.0 {
            chosen.extend((0..n).find(|i| !chosen.contains(i)));
            continue;
        }
        // The first point whose running sum exceeds the draw: never one of weight 0, and rounding of the product
        // cannot lead past the last of positive weight.
        let last = cumulative.partition_point(|&sum| sum < total);
        let candidates: Vec<usize> = (0..n_trials)
            .map(|_| rng.random::<f64>() * total)
            .map(|draw| cumulative.partition_point(|&sum| sum <= draw).min(last))
            .collect();
        let mut distances = space.squared_distances(&candidates)?;
        let mut best = (0, f64::INFINITY);
        for (c, row) in distances.chunks_exact_mut(n).enumerate() {
            let mut potential = 0.0;
            for (d, &old) in row.iter_mut().zip(&closest) {
                *d = d.min(old);
                potential += *d;
            }
            if potential < best.1 {
                best = (c, potential);
            }
        }
        let c = best.0;
        closest.copy_from_slice(&distances[c * n..(c + 1) * n]);
        closest[candidates[c]] = 0.0;
        chosen.push(candidates[c]);
    }
    Ok(chosen)
}
