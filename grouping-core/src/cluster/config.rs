//! Settings that every form of k-means has, and their validation.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Where the first centroids come from.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Init {
    /// Greedy k-means++ (Arthur & Vassilvitskii 2007, §2): each further centroid is the best of `2 + ⌊ln k⌋` points
    /// drawn with probability proportional to their squared distance from the centroids so far.
    #[default]
    KMeansPlusPlus,
    /// `k` distinct points drawn uniformly.
    Random,
    /// These `k` points, by index.
    Points(Vec<usize>),
    /// The means of a given partition: one label in `0..k` a point, no cluster empty.
    Labels(Vec<usize>),
}

/// What "near" means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Metric {
    /// Squared Euclidean distance; centroids are means, inertia is `Σ ‖x − c‖²`.
    #[default]
    Euclidean,
    /// Spherical k-means (Dhillon & Modha 2001): points are scaled to unit length, centroids are means scaled to
    /// unit length, inertia is `Σ (1 − cos(x, c))`. Points of zero length are refused.
    Cosine,
}

/// Settings of k-means; `fit*` runs it on points in one of their forms. What only points by their Gram matrix can have is set on
/// [`GramKMeansConfig`](super::GramKMeansConfig).
///
/// ```
/// use grouping_core::{cluster::KMeansConfig, matrix::MatrixRef};
/// let points = MatrixRef::new(4, 2, &[0., 0., 0., 1., 9., 9., 9., 8.])?;
/// let clusters = KMeansConfig::new(2).with_seed(7).fit(points)?;
/// assert_eq!(clusters.labels()[0], clusters.labels()[1]);
/// assert_ne!(clusters.labels()[0], clusters.labels()[2]);
/// assert_eq!(clusters.inertia(), 1.0);
/// # Ok::<(), grouping_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct KMeansConfig {
    pub(super) n_clusters: usize,
    pub(super) seed: u64,
    pub(super) n_restarts: usize,
    pub(super) init: Init,
    pub(super) metric: Metric,
    pub(super) max_iters: usize,
    pub(super) tolerance: f64,
}

impl KMeansConfig {
    /// `n_clusters` clusters; seed 0, 10 restarts, k-means++, Euclidean, at most 300 iterations, tolerance 1e-4.
    pub fn new(n_clusters: usize) -> Self {
        Self {
            n_clusters,
            seed: 0,
            n_restarts: 10,
            init: Init::default(),
            metric: Metric::default(),
            max_iters: 300,
            tolerance: 1e-4,
        }
    }

    /// Seed of the random draws; restart `r` draws from stream `r` of a `ChaCha8` generator of this seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Number of runs of which the best is kept; a given initialisation runs once. A later run replaces an earlier
    /// one only when its inertia is lower by more than 1e-6 of it, so that rounding never decides between equals.
    #[must_use]
    pub fn with_n_restarts(mut self, n_restarts: usize) -> Self {
        self.n_restarts = n_restarts;
        self
    }

    /// Where the first centroids come from.
    #[must_use]
    pub fn with_init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// Euclidean or cosine.
    #[must_use]
    pub fn with_metric(mut self, metric: Metric) -> Self {
        self.metric = metric;
        self
    }

    /// Greatest number of iterations of a run.
    #[must_use]
    pub fn with_max_iters(mut self, max_iters: usize) -> Self {
        self.max_iters = max_iters;
        self
    }

    /// A run stops when `√(Σ_j ‖Δc_j‖²)`, the centroids' move as a length, is at most `tolerance` times the root mean
    /// square distance of the points from their mean; 0 waits until no label changes. It is free of the number of
    /// dimensions, which the Gram form does not know: scikit-learn's `tol` in `d` dimensions is `tolerance² · d`.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Number of clusters.
    pub fn n_clusters(&self) -> usize {
        self.n_clusters
    }

    /// Checks the settings against the number of points.
    pub(super) fn check(&self, n_points: usize) -> Result<()> {
        let k = self.n_clusters;
        if k == 0 || k > n_points {
            return Err(Error::ClusterCount { n_clusters: k, n_points });
        }
        let setting = |name: &str, expected: &str, found: String| {
            Err(Error::Setting { name: name.into(), expected: expected.into(), found })
        };
        if self.n_restarts == 0 {
            return setting("n_restarts", "at least 1", "0".into());
        }
        if self.max_iters == 0 {
            return setting("max_iters", "at least 1", "0".into());
        }
        if !(self.tolerance.is_finite() && self.tolerance >= 0.0) {
            return setting("tolerance", "a finite number of at least 0", self.tolerance.to_string());
        }
        match &self.init {
            Init::Points(indices) => check_indices(indices, k, n_points),
            Init::Labels(labels) => check_labels(labels, k, n_points),
            _ => Ok(()),
        }
    }
}

fn init_error(expected: String, found: String) -> Result<()> {
    Err(Error::Setting { name: "init".into(), expected, found })
}

fn check_indices(indices: &[usize], k: usize, n_points: usize) -> Result<()> {
    if indices.len() != k {
        return init_error(format!("{k} point indices"), indices.len().to_string());
    }
    if let Some(i) = indices.iter().find(|&&i| i >= n_points) {
        return init_error(format!("point indices below {n_points}"), i.to_string());
    }
    let mut sorted = indices.to_vec();
    sorted.sort_unstable();
    match sorted.windows(2).find(|w| w[0] == w[1]) {
        Some(w) => init_error("distinct point indices".into(), format!("{} twice", w[0])),
        None => Ok(()),
    }
}

fn check_labels(labels: &[usize], k: usize, n_points: usize) -> Result<()> {
    if labels.len() != n_points {
        return init_error(format!("{n_points} labels"), labels.len().to_string());
    }
    let mut sizes = vec![0usize; k];
    for &label in labels {
        match sizes.get_mut(label) {
            Some(size) => *size += 1,
            None => return init_error(format!("labels below {k}"), label.to_string()),
        }
    }
    match sizes.iter().position(|&s| s == 0) {
        Some(j) => init_error(format!("a member in each of {k} clusters"), format!("none in cluster {j}")),
        None => Ok(()),
    }
}
