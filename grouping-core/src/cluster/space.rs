//! What Lloyd's algorithm and its seeding ask of a form of the points.

use crate::Result;

/// A form of the points `x_1 … x_n`, in which distances and means can be taken.
pub(super) trait Space {
    /// `k` centroids in this form.
    type Centroids;

    fn n_points(&self) -> usize;

    /// `(1/n) Σ_i ‖x_i − x̄‖²`.
    fn spread(&self) -> f64;

    /// Whether a cluster that loses all its points takes another.
    fn reseeds(&self) -> bool {
        true
    }

    /// Squared distances of all points from each of the points `from`, `[from.len(), n]`, none negative.
    fn squared_distances(&self, from: &[usize]) -> Result<Vec<f64>>;

    /// The points `at` as centroids.
    fn centroids_at(&self, at: &[usize]) -> Result<Self::Centroids>;

    /// Means of the clusters `0..k` of `labels`. None is empty, unless the form keeps the centroids of those that are:
    /// then they are taken from `before`, the centroids that gave the labels.
    fn means(&self, labels: &[usize], k: usize, before: Option<&Self::Centroids>) -> Result<Self::Centroids>;

    /// Whether `centroids` are the means of the clusters that they themselves would give for unchanged `labels`.
    fn stands(&self, _centroids: &Self::Centroids, _labels: &[usize]) -> bool {
        true
    }

    /// `Σ_j ‖to_j − from_j‖²`.
    fn squared_shift(&self, from: &Self::Centroids, to: &Self::Centroids) -> Result<f64>;

    /// Writes each point's nearest centroid and its squared distance from it.
    fn assign(&self, centroids: &Self::Centroids, to: &mut Assignment) -> Result<()>;

    /// Squared distances of the points from their own centroids, as exactly as the form allows.
    fn own_distances(&self, centroids: &Self::Centroids, assignment: &Assignment) -> Result<Vec<f64>>;
}

/// One label and one squared distance a point.
#[derive(Debug, Clone)]
pub(super) struct Assignment {
    pub(super) labels: Vec<usize>,
    pub(super) squared_distances: Vec<f64>,
}
