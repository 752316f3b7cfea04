//! k-means on a Gram matrix: few points in many dimensions, whatever the dimension.
//!
//! A centroid is a weighted sum of points, `c_j = w_j Σ_{m∈S_j} x_m`, with `w_j = 1/|S_j|` (cosine: `1/‖Σ x_m‖`), so
//! with `g_j = w_j Σ_{m∈S_j} G_m` (rows of `G [n, n]`, `f64`)
//! `c_j·x_i = g_ji`, `‖c_j‖² = w_j Σ_{m∈S_j} g_jm`, `‖x_i − c_j‖² = G_ii − 2 g_ji + ‖c_j‖²`.
//! Where a point and its opposite are one ([`Symmetry::Antipodal`]), `c_j = w_j Σ σ_m x_m` with `σ_m = sgn(c_j·x_m)` of the
//! centroid before, and distances take `|g_ji|`.
//! An iteration costs `O(n² + n·k)`; coordinates and centroids are never needed.

use serde::{Deserialize, Serialize};

use super::config::{KMeansConfig, Metric};
use super::lloyd::{best_run, run};
use super::partition::Partition;
use super::space::{Assignment, Space};
use crate::low_rank::Gram;
use crate::{Error, Result};

/// Whether a point and its opposite are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Symmetry {
    /// They are different points.
    #[default]
    None,
    /// They are one: a point is at `min(‖x − c‖, ‖x + c‖)` from a centroid, and enters a mean with the sign that is
    /// nearer. Negating points changes nothing.
    Antipodal,
}

/// What happens to a cluster that loses all its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EmptyClusters {
    /// It takes the point that lies farthest from its own centroid, as in scikit-learn.
    #[default]
    Reseed,
    /// It keeps its centroid, and may be empty in the result.
    Keep,
}

/// Settings of k-means on a Gram matrix: those of every form, and two that only this form has.
///
/// ```
/// use grouping_core::cluster::{KMeansConfig, Symmetry};
/// use grouping_core::{low_rank::row_gram, matrix::MatrixRef};
/// let points = MatrixRef::new(3, 2, &[5., 0., -5., 0., 0., 1.])?;
/// let config = KMeansConfig::new(2).in_gram_space().with_symmetry(Symmetry::Antipodal);
/// let clusters = config.fit(&row_gram(&[points])?)?;
/// assert_eq!(clusters.labels()[0], clusters.labels()[1]);
/// assert_eq!(clusters.flipped(), [false, true, false]);
/// # Ok::<(), grouping_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct GramKMeansConfig {
    shared: KMeansConfig,
    symmetry: Symmetry,
    empty_clusters: EmptyClusters,
}

impl KMeansConfig {
    /// These settings for points by their inner products, with what only that form has.
    #[must_use]
    pub fn in_gram_space(self) -> GramKMeansConfig {
        let (symmetry, empty_clusters) = Default::default();
        GramKMeansConfig { shared: self, symmetry, empty_clusters }
    }

    /// [`GramKMeansConfig::fit`] without what only that form has.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// use grouping_core::{cluster::KMeansConfig, low_rank::row_gram, matrix::MatrixRef};
    /// let points = MatrixRef::new(3, 2, &[0., 1., 0., 2., 50., 0.])?;
    /// let clusters = KMeansConfig::new(2).fit_gram(&row_gram(&[points])?)?;
    /// assert_eq!(clusters.labels()[0], clusters.labels()[1]);
    /// assert_eq!(clusters.inertia(), 0.5);
    /// # Ok::<(), grouping_core::Error>(())
    /// ```
    pub fn fit_gram(&self, gram: &Gram) -> Result<Partition> {
        self.clone().in_gram_space().fit(gram)
    }
}

impl GramKMeansConfig {
    /// Whether a point and its opposite are told apart.
    #[must_use]
    pub fn with_symmetry(mut self, symmetry: Symmetry) -> Self {
        self.symmetry = symmetry;
        self
    }

    /// What happens to a cluster that loses all its points.
    #[must_use]
    pub fn with_empty_clusters(mut self, empty_clusters: EmptyClusters) -> Self {
        self.empty_clusters = empty_clusters;
        self
    }

    /// Clusters `n` points given by their inner products, `[n, n]`.
    ///
    /// The labels are those of [`KMeansConfig::fit`] on the points themselves, up to rounding.
    ///
    /// # Errors
    /// [`Error::ClusterCount`] unless `1 ≤ n_clusters ≤ n`; [`Error::Setting`] for settings that do not fit;
    /// [`Error::ZeroNorm`] for a zero point under [`Metric::Cosine`].
    pub fn fit(&self, gram: &Gram) -> Result<Partition> {
        self.shared.check(gram.len())?;
        let space = GramSpace::new(gram, self)?;
        let best = best_run(&space, &self.shared, None, |first| run(&space, &self.shared, first))?;
        let flips = space.flips(&best.labels, &best.centroids);
        Ok(Partition::from_run(best, &self.shared, |_| ()).with_flips(&flips))
    }
}

struct GramSpace {
    n: usize,
    values: Vec<f64>,
    metric: Metric,
    symmetry: Symmetry,
    empty_clusters: EmptyClusters,
    spread: f64,
}

/// A point's index and sign in a sum.
type Signed = (usize, f64);

struct GramCentroids {
    /// `c_j·x_i`, `[k, n]`.
    products: Vec<f64>,
    /// `‖c_j‖²`.
    squared_norms: Vec<f64>,
    /// `S_j`, with `σ_m`.
    members: Vec<Vec<Signed>>,
    /// `w_j`.
    weights: Vec<f64>,
    /// Whether `σ_i` of each point was −1 when the means were taken, `[n]`; empty for points that are centroids.
    flips: Vec<bool>,
}

impl GramSpace {
    fn new(gram: &Gram, config: &GramKMeansConfig) -> Result<Self> {
        let GramKMeansConfig { shared: KMeansConfig { metric, .. }, symmetry, empty_clusters } = *config;
        let n = gram.len();
        let mut values = gram.values().to_vec();
        if metric == Metric::Cosine {
            let lengths: Vec<f64> = (0..n).map(|i| values[i * n + i].sqrt()).collect();
            // A square that rounds below 0 has the root NaN, which is no length either.
            if let Some(row) = lengths.iter().position(|&l| l.is_nan() || l == 0.0) {
                return Err(Error::ZeroNorm { what: "Gram matrix".into(), row });
            }
            for (i, row) in values.chunks_exact_mut(n).enumerate() {
                row.iter_mut().zip(&lengths).for_each(|(v, l)| *v /= lengths[i] * l);
                row[i] = 1.0;
            }
        }
        let trace: f64 = (0..n).map(|i| values[i * n + i]).sum();
        // A point and its opposite together have the mean 0.
        let total: f64 = if symmetry == Symmetry::Antipodal { 0.0 } else { values.iter().sum() };
        let spread = ((trace - total / n as f64) / n as f64).max(0.0);
        Ok(Self { n, values, metric, symmetry, empty_clusters, spread })
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.n..(i + 1) * self.n]
    }

    /// `x·y`, or that of `x` and the nearer of `±y`.
    fn nearer(&self, product: f64) -> f64 {
        if self.symmetry == Symmetry::Antipodal { product.abs() } else { product }
    }

    /// Whether each point is nearer to its centroid when negated.
    fn flips(&self, labels: &[usize], centroids: &GramCentroids) -> Vec<bool> {
        let antipodal = self.symmetry == Symmetry::Antipodal;
        let product = |i: usize, j: usize| centroids.products[j * self.n + i];
        labels.iter().enumerate().map(|(i, &j)| antipodal && product(i, j) < 0.0).collect()
    }

    fn combine(&self, members: Vec<Vec<Signed>>, flips: Vec<bool>) -> GramCentroids {
        let n = self.n;
        let mut products = vec![0.0; members.len() * n];
        let (mut squared_norms, mut weights) = (vec![], vec![]);
        for (group, sum) in members.iter().zip(products.chunks_exact_mut(n)) {
            for &(m, sign) in group {
                sum.iter_mut().zip(self.row(m)).for_each(|(s, g)| *s += sign * g);
            }
            let own: f64 = group.iter().map(|&(m, sign)| sign * sum[m]).sum();
            let (weight, squared_norm) = match self.metric {
                Metric::Euclidean => {
                    let w = 1.0 / group.len() as f64;
                    (w, w * w * own)
                }
                // Members that cancel have no direction: the zero centroid has cosine 0 with every point.
                Metric::Cosine if own > 0.0 => (1.0 / own.sqrt(), 1.0),
                Metric::Cosine => (0.0, 1.0),
            };
            sum.iter_mut().for_each(|s| *s *= weight);
            squared_norms.push(squared_norm);
            weights.push(weight);
        }
        GramCentroids { products, squared_norms, members, weights, flips }
    }
}

impl Space for GramSpace {
    type Centroids = GramCentroids;

    fn n_points(&self) -> usize {
        self.n
    }

    fn spread(&self) -> f64 {
        self.spread
    }

    fn reseeds(&self) -> bool {
        self.empty_clusters == EmptyClusters::Reseed
    }

    fn squared_distances(&self, from: &[usize]) -> Result<Vec<f64>> {
        let mut out = Vec::with_capacity(from.len() * self.n);
        for &p in from {
            let row = self.row(p);
            out.extend((0..self.n).map(|i| (self.row(i)[i] - 2.0 * self.nearer(row[i]) + row[p]).max(0.0)));
        }
        Ok(out)
    }

    fn centroids_at(&self, at: &[usize]) -> Result<GramCentroids> {
        Ok(self.combine(at.iter().map(|&p| vec![(p, 1.0)]).collect(), vec![]))
    }

    fn means(&self, labels: &[usize], k: usize, before: Option<&GramCentroids>) -> Result<GramCentroids> {
        let mut members: Vec<Vec<Signed>> = vec![vec![]; k];
        let flips = match before {
            Some(before) => self.flips(labels, before),
            // A partition without centroids: each cluster's sign is that of its first point.
            None => {
                let first = |l: usize| labels.iter().position(|&other| other == l).unwrap_or(0);
                let first: Vec<usize> = (0..k).map(first).collect();
                self.flips(labels, &self.centroids_at(&first)?)
            }
        };
        for (i, (&l, &flip)) in labels.iter().zip(&flips).enumerate() {
            members[l].push((i, if flip { -1.0 } else { 1.0 }));
        }
        for (group, before) in members.iter_mut().zip(before.iter().flat_map(|b| &b.members)) {
            if group.is_empty() {
                group.clone_from(before);
            }
        }
        Ok(self.combine(members, flips))
    }

    fn stands(&self, centroids: &GramCentroids, labels: &[usize]) -> bool {
        self.symmetry == Symmetry::None || self.flips(labels, centroids) == centroids.flips
    }

    fn squared_shift(&self, from: &GramCentroids, to: &GramCentroids) -> Result<f64> {
        let moves = to.members.iter().enumerate().map(|(j, group)| {
            let old = &from.products[j * self.n..(j + 1) * self.n];
            let cross = to.weights[j] * group.iter().map(|&(m, sign)| sign * old[m]).sum::<f64>();
            (to.squared_norms[j] - 2.0 * cross + from.squared_norms[j]).max(0.0)
        });
        Ok(moves.sum())
    }

    fn assign(&self, centroids: &GramCentroids, to: &mut Assignment) -> Result<()> {
        to.squared_distances.fill(f64::INFINITY);
        for (j, products) in centroids.products.chunks_exact(self.n).enumerate() {
            let own = centroids.squared_norms[j];
            let nearest = to.labels.iter_mut().zip(&mut to.squared_distances);
            for ((label, best), product) in nearest.zip(products) {
                let d = own - 2.0 * self.nearer(*product);
                if d < *best {
                    (*label, *best) = (j, d);
                }
            }
        }
        for (i, d) in to.squared_distances.iter_mut().enumerate() {
            *d = (*d + self.row(i)[i]).max(0.0);
        }
        Ok(())
    }

    fn own_distances(&self, centroids: &GramCentroids, assignment: &Assignment) -> Result<Vec<f64>> {
        let own = assignment.labels.iter().enumerate().map(|(i, &j)| {
            let product = self.nearer(centroids.products[j * self.n + i]);
            (self.row(i)[i] - 2.0 * product + centroids.squared_norms[j]).max(0.0)
        });
        Ok(own.collect())
    }
}
