//! The partition that every form of k-means returns, with the centroids of its form.

use super::config::{KMeansConfig, Metric};
use super::lloyd::Run;
use crate::matrix::Matrix;

/// A partition of `n` points. `C` is the form of the centroids: a [`Matrix`] for points by coordinates ([`Clusters`]), a Burn
/// tensor on the points' device (`TensorClusters`), nothing for points by their Gram matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Partition<C = ()> {
    labels: Vec<usize>,
    /// One a point under the antipodal symmetry, else none.
    flipped: Vec<bool>,
    n_clusters: usize,
    inertia: f64,
    n_iters: usize,
    converged: bool,
    centroids: C,
}

/// A partition of `n` points in `d` dimensions, with centroids `[n_clusters, d]`.
pub type Clusters = Partition<Matrix>;

impl<C> Partition<C> {
    /// The end of a run; `centroids` gives the run's in the form of the result.
    pub(super) fn from_run<R>(run: Run<R>, config: &KMeansConfig, centroids: impl FnOnce(R) -> C) -> Self {
        // Between unit vectors ‖x − c‖² = 2 (1 − cos).
        let inertia = match config.metric {
            Metric::Euclidean => run.inertia,
            Metric::Cosine => 0.5 * run.inertia,
        };
        let Run { labels, n_iters, converged, .. } = run;
        let (n_clusters, centroids) = (config.n_clusters, centroids(run.centroids));
        Self { labels, flipped: vec![], n_clusters, inertia, n_iters, converged, centroids }
    }

    /// Multiplies the inertia: for forms that work in other units than their points'.
    pub(super) fn rescaled(mut self, factor: f64) -> Self {
        self.inertia *= factor;
        self
    }

    /// Cluster of each point, in `0..n_clusters`; no cluster is empty, unless
    /// [`EmptyClusters::Keep`](super::EmptyClusters::Keep) was asked for.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Number of clusters.
    pub fn n_clusters(&self) -> usize {
        self.n_clusters
    }

    /// `Σ ‖x − c‖²` over the points and their centroids; under the cosine metric `Σ (1 − cos(x, c))`.
    pub fn inertia(&self) -> f64 {
        self.inertia
    }

    /// Iterations of the run that was kept.
    pub fn n_iters(&self) -> usize {
        self.n_iters
    }

    /// Whether that run came to rest before the greatest number of iterations.
    pub fn converged(&self) -> bool {
        self.converged
    }

    /// Number of points in each cluster, `[n_clusters]`.
    pub fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.n_clusters];
        self.labels.iter().for_each(|&l| sizes[l] += 1);
        sizes
    }

    /// `[n_clusters, d]`; under the cosine metric of unit length. Of points by their Gram matrix, nothing: there, centroids
    /// have no coordinates.
    pub fn centroids(&self) -> &C {
        &self.centroids
    }
}

impl Partition {
    /// Whether each point counts negated, under [`Symmetry::Antipodal`](super::Symmetry::Antipodal); the first point of
    /// a cluster does not.
    pub fn flipped(&self) -> &[bool] {
        &self.flipped
    }

    /// Marks the points that enter their clusters negated, each cluster's sign being that of its first point.
    pub(super) fn with_flips(mut self, flips: &[bool]) -> Self {
        let mut first: Vec<Option<bool>> = vec![None; self.n_clusters];
        let turned = |(&label, &flip): (&usize, &bool)| *first[label].get_or_insert(flip) != flip;
        self.flipped = self.labels.iter().zip(flips).map(turned).collect();
        self
    }
}
