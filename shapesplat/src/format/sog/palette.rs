//! The palette of higher degrees: k-means of the coefficients of all Gaussians, in two levels.
//!
//! `k` clusters of `n` points in 45 dimensions take `n·k` distances an iteration, 65 thousand million for a million Gaussians. In two levels,
//! √k coarse clusters and √k of the members of each, they take `2·n·√k`. The coarse ones are found on a sample, and the seats among them are
//! shared by the square roots of size times inertia, so that neither large nor wide clusters take all.
//! The same coefficients give the same palette, for any number of threads.

use grouping_core::cluster::{Clusters, Init, KMeansConfig};
use grouping_core::matching::apportion::{ApportionConfig, apportion};
use grouping_core::matrix::{Matrix, MatrixRef};
use grouping_core::seed::derive_seed;
use rayon::prelude::*;

use crate::Result;

/// Entries up to which one level does.
const ONE_LEVEL: usize = 256;
/// Points on which the coarse clusters are found.
const SAMPLE: usize = 1 << 15;
/// Iterations of either level, as many as splat-transform's default.
const ITERATIONS: usize = 10;
const SEED: u64 = 0;

/// Entries `[k, d]`, and which of them stands for each point.
pub(super) struct Palette {
    pub(super) entries: Matrix,
    pub(super) labels: Vec<u16>,
}

/// As many entries as splat-transform takes for `n` Gaussians: the greatest power of two that is at most `n`, and at most 65,536.
pub(super) fn size(n: usize) -> usize {
    1 << n.max(1).ilog2().min(16)
}

fn config(k: usize, stream: u64) -> KMeansConfig {
    KMeansConfig::new(k)
        .with_init(Init::Random)
        .with_n_restarts(1)
        .with_max_iters(ITERATIONS)
        .with_seed(derive_seed(SEED, stream))
}

impl Palette {
    /// Clusters `points [n, d]` into `k` entries.
    pub(super) fn of(points: MatrixRef<'_>, k: usize) -> Result<Self> {
        if k <= ONE_LEVEL {
            let clusters = config(k, 0).fit(points)?;
            let labels = clusters.labels().iter().map(|&label| label as u16).collect();
            return Ok(Self { entries: clusters.centroids().clone(), labels });
        }
        let coarse = coarse(points, 1 << (k.ilog2() / 2))?;
        let mut members = vec![Vec::new(); coarse.n_clusters()];
        coarse.labels().iter().enumerate().for_each(|(i, &label)| members[label].push(i));
        let weights: Vec<f64> = members
            .par_iter()
            .enumerate()
            .map(|(label, members)| weight(points, members, coarse.centroids().view().row(label)))
            .collect();
        let sizes: Vec<usize> = members.iter().map(Vec::len).collect();
        let seats = apportion(&weights, &ApportionConfig::new(k).with_minimum(1).with_maxima(sizes))?;
        let fine: Vec<Clusters> = members
            .par_iter()
            .zip(&seats)
            .enumerate()
            .map(|(label, (members, &k))| {
                let rows: Vec<f32> = members.iter().flat_map(|&i| points.row(i)).copied().collect();
                let rows = Matrix::new(members.len(), points.n_cols(), rows)?;
                Ok(config(k, 1 + label as u64).fit(rows.view())?)
            })
            .collect::<Result<_>>()?;
        let (mut entries, mut labels) =
            (Vec::with_capacity(k * points.n_cols()), vec![0u16; points.n_rows()]);
        let mut before = 0;
        for (members, fine) in members.iter().zip(&fine) {
            members.iter().zip(fine.labels()).for_each(|(&i, &label)| labels[i] = (before + label) as u16);
            entries.extend_from_slice(fine.centroids().values());
            before += fine.n_clusters();
        }
        Ok(Self { entries: Matrix::new(before, points.n_cols(), entries)?, labels })
    }
}

/// Clusters a sample, then all points once by its centroids.
fn coarse(points: MatrixRef<'_>, k: usize) -> Result<Clusters> {
    let (n, d) = (points.n_rows(), points.n_cols());
    if n <= SAMPLE {
        return Ok(config(k, 0).fit(points)?);
    }
    let sample: Vec<f32> = (0..SAMPLE).flat_map(|i| points.row(i * n / SAMPLE)).copied().collect();
    let found = config(k, 0).fit(MatrixRef::new(SAMPLE, d, &sample)?)?;
    Ok(config(k, 0).with_max_iters(1).fit_from(points, found.centroids().view())?)
}

fn weight(points: MatrixRef<'_>, members: &[usize], centre: &[f32]) -> f64 {
    let distance = |i: usize| {
        let differences = points.row(i).iter().zip(centre).map(|(a, b)| f64::from(a - b));
        differences.map(|difference| difference * difference).sum::<f64>()
    };
    let inertia: f64 = members.iter().map(|&i| distance(i)).sum();
    (members.len() as f64 * inertia).sqrt().max(f64::MIN_POSITIVE)
}
