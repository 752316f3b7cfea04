//! The `kmeans` crate as an engine of the direct form, started from this crate's seeding.
//!
//! It works in `f32` throughout, on the same prepared points; the inertia of its result is taken by this crate.

use std::cell::Cell;

use kmeans::{AbortStrategy, EuclideanDistance, KMeans, KMeansState};

use super::config::{KMeansConfig, Metric};
use super::direct::{Centroids, DirectSpace};
use super::lloyd::{Assignment, Run, Space};
use crate::{Error, Result};

/// Lanes of the engine's vectors.
const LANES: usize = 16;

pub(super) struct CrateEngine<'a> {
    space: &'a DirectSpace<'a>,
    config: &'a KMeansConfig,
    engine: KMeans<f32, LANES, EuclideanDistance>,
}

impl<'a> CrateEngine<'a> {
    pub(super) fn new(space: &'a DirectSpace<'a>, config: &'a KMeansConfig) -> Result<Self> {
        if config.metric != Metric::Euclidean {
            return Err(Error::Setting {
                name: "metric".into(),
                expected: "euclidean with the `kmeans` crate".into(),
                found: "cosine".into(),
            });
        }
        let points = space.points;
        let engine = KMeans::new(&points.values, points.n_points, points.n_dims, EuclideanDistance);
        Ok(Self { space, config, engine })
    }

    pub(super) fn run(&self, first: &Centroids) -> Result<Run<Centroids>> {
        let n_iters = Cell::new(0);
        let count = |_: &KMeansState<f32>, iteration: usize, _: f32| n_iters.set(iteration);
        let settings = kmeans::KMeansConfig::build()
            .abort_strategy(AbortStrategy::NoImprovement { threshold: 0.0 })
            .iteration_done(&count)
            .build();
        let start = KMeans::init_precomputed(first.values.iter().map(|&v| v as f32).collect());
        let state = self.engine.kmeans_lloyd(self.config.n_clusters, self.config.max_iters, start, &settings);
        let values = state.centroids.to_vec().into_iter().map(f64::from).collect();
        let centroids = Centroids::new(values, self.space.points);
        let end = Assignment { labels: state.assignments, squared_distances: vec![] };
        let inertia = self.space.own_distances(&centroids, &end)?.iter().sum();
        let converged = n_iters.get() < self.config.max_iters;
        Ok(Run { labels: end.labels, centroids, inertia, n_iters: n_iters.get(), converged })
    }
}
