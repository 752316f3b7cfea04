//! What a fit returns, by form of the points.

use super::config::{KMeansConfig, Metric};
use super::lloyd::Run;
use crate::matrix::Matrix;

/// A partition of `n` points given by their Gram matrix; centroids have no coordinates there.
#[derive(Debug, Clone, PartialEq)]
pub struct GramClusters {
    labels: Vec<usize>,
    flipped: Vec<bool>,
    n_clusters: usize,
    inertia: f64,
    n_iters: usize,
    converged: bool,
}

impl GramClusters {
    /// Whether each point counts negated, under [`Symmetry::Antipodal`](super::Symmetry::Antipodal); the first point of
    /// a cluster does not.
    pub fn flipped(&self) -> &[bool] {
        &self.flipped
    }

    /// Splits the end of a run into what every form reports and its centroids.
    pub(super) fn from_run<C>(run: Run<C>, config: &KMeansConfig) -> (Self, C) {
        // Between unit vectors ‖x − c‖² = 2 (1 − cos).
        let inertia = match config.metric {
            Metric::Euclidean => run.inertia,
            Metric::Cosine => 0.5 * run.inertia,
        };
        let Run { labels, n_iters, converged, centroids, .. } = run;
        let flipped = vec![false; labels.len()];
        (Self { labels, flipped, n_clusters: config.n_clusters, inertia, n_iters, converged }, centroids)
    }

    /// Marks the points that enter their clusters negated, each cluster's sign being that of its first point.
    pub(super) fn with_flips(mut self, flips: Vec<bool>) -> Self {
        let mut first: Vec<Option<bool>> = vec![None; self.n_clusters];
        for (i, &flip) in flips.iter().enumerate() {
            self.flipped[i] = *first[self.labels[i]].get_or_insert(flip) != flip;
        }
        self
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
}

/// Gives a result with centroids the accessors of its partition.
macro_rules! partition_accessors {
    ($name:ident) => {
        impl $name {
            /// Cluster of each point, in `0..n_clusters`; no cluster is empty.
            pub fn labels(&self) -> &[usize] {
                self.partition.labels()
            }

            /// Number of clusters.
            pub fn n_clusters(&self) -> usize {
                self.partition.n_clusters()
            }

            /// `Σ ‖x − c‖²` over the points and their centroids; under the cosine metric `Σ (1 − cos(x, c))`.
            pub fn inertia(&self) -> f64 {
                self.partition.inertia()
            }

            /// Iterations of the run that was kept.
            pub fn n_iters(&self) -> usize {
                self.partition.n_iters()
            }

            /// Whether that run came to rest before the greatest number of iterations.
            pub fn converged(&self) -> bool {
                self.partition.converged()
            }

            /// Number of points in each cluster, `[n_clusters]`.
            pub fn sizes(&self) -> Vec<usize> {
                self.partition.sizes()
            }
        }
    };
}

/// A partition of `n` points in `d` dimensions with its centroids.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    pub(super) partition: GramClusters,
    pub(super) centroids: Matrix,
}

partition_accessors!(Clusters);

impl Clusters {
    /// `[n_clusters, d]`; under the cosine metric of unit length.
    pub fn centroids(&self) -> &Matrix {
        &self.centroids
    }
}

/// A partition of the rows of a tensor with its centroids on the tensor's device.
#[cfg(feature = "burn")]
#[derive(Debug, Clone)]
pub struct TensorClusters {
    pub(super) partition: GramClusters,
    pub(super) centroids: burn::tensor::Tensor<2>,
}

#[cfg(feature = "burn")]
partition_accessors!(TensorClusters);

#[cfg(feature = "burn")]
impl TensorClusters {
    /// `[n_clusters, d]`, on the device of the points; under the cosine metric of unit length.
    pub fn centroids(&self) -> &burn::tensor::Tensor<2> {
        &self.centroids
    }

    /// The labels as a tensor on the device of the points, `[n]`.
    pub fn labels_tensor(&self) -> burn::tensor::Tensor<1, burn::tensor::Int> {
        super::tensor::labels_on(self.labels(), &self.centroids.device())
    }
}
