//! The `kmeans` crate as an engine of the direct form, started from this crate's seeding.
//!
//! It works in `f32` throughout, on the same prepared points; the inertia of its result is taken by this crate.

use std::cell::Cell;

use kmeans::{AbortStrategy, EuclideanDistance, KMeans, KMeansState};

use super::config::{KMeansConfig, Metric};
use super::direct::{Centroids, DirectSpace};
use super::lloyd::Run;
use super::partition::Clusters;
use super::space::{Assignment, Space};
use crate::matrix::MatrixRef;
use crate::{Error, Result};

/// Lanes of the engine's vectors.
const LANES: usize = 16;

impl KMeansConfig {
    /// [`Self::fit`] by the `kmeans` crate: Euclidean metric only; it stops when an iteration no longer improves the objective,
    /// whatever the tolerance.
    ///
    /// Ours stands beside it because it works on any stable toolchain, in Gram space and on tensors, gives the same
    /// bytes for any number of threads, and is faster: `cargo bench -p grouping-core --features kmeans --bench
    /// kmeans -- direct` measures both.
    ///
    /// # Errors
    /// As [`Self::fit`]; [`Error::Setting`] for another metric.
    pub fn fit_by_kmeans_crate(&self, points: MatrixRef<'_>) -> Result<Clusters> {
        if self.metric != Metric::Euclidean {
            return Err(Error::Setting {
                name: "metric".into(),
                expected: "euclidean with the `kmeans` crate".into(),
                found: "cosine".into(),
            });
        }
        self.fit_by(points, None, |space, first| run(space, self, &first))
    }
}

fn run(space: &DirectSpace<'_>, config: &KMeansConfig, first: &Centroids) -> Result<Run<Centroids>> {
    let points = space.points;
    let engine: KMeans<f32, LANES, _> =
        KMeans::new(&points.values, points.n_points, points.n_dims, EuclideanDistance);
    let n_iters = Cell::new(0);
    let count = |_: &KMeansState<f32>, iteration: usize, _: f32| n_iters.set(iteration);
    let settings = kmeans::KMeansConfig::build()
        .abort_strategy(AbortStrategy::NoImprovement { threshold: 0.0 })
        .iteration_done(&count)
        .build();
    let start = KMeans::init_precomputed(first.values.iter().map(|&v| v as f32).collect());
    let state = engine.kmeans_lloyd(config.n_clusters, config.max_iters, start, &settings);
    let values = state.centroids.to_vec().into_iter().map(f64::from).collect();
    let centroids = Centroids::new(values, points);
    let end = Assignment { labels: state.assignments, squared_distances: vec![] };
    let inertia = space.own_distances(&centroids, &end)?.iter().sum();
    let converged = n_iters.get() < config.max_iters;
    Ok(Run { labels: end.labels, centroids, inertia, n_iters: n_iters.get(), converged })
}
