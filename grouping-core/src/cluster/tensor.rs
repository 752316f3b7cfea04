//! k-means on a Burn tensor, on whatever device holds it.
//!
//! An iteration is two matrix products on the device: `‖c‖² − 2 X·Cᵀ [n, k]`, whose rows' minima are the labels, and
//! `Mᵀ·X [k, d]` with the membership matrix `M [n, k]`, whose rows are the clusters' sums. Only labels and distances,
//! `[n]` each, come to the host, where the random draws are made: the stream is that of the other forms. No atomics:
//! the result repeats on one device; devices differ in rounding.
//!
//! Points are prepared as in the direct form (centred and scaled by a power of two, or of unit length), in `f32`;
//! tensors of another float type are converted.

use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};

use super::config::{KMeansConfig, Metric};
use super::lloyd::{best_run, run};
use super::partition::Partition;
use super::points::power_of_two_below;
use super::space::{Assignment, Space};
use crate::matrix::MatrixRef;
use crate::{Error, Result};

/// A partition of the rows of a tensor, with centroids `[n_clusters, d]` on the tensor's device.
pub type TensorClusters = Partition<Tensor<2>>;

impl TensorClusters {
    /// The labels as a tensor on the device of the points, `[n]`.
    pub fn labels_tensor(&self) -> Tensor<1, Int> {
        labels_on(self.labels(), &self.centroids().device())
    }
}

impl KMeansConfig {
    /// Clusters the rows of `points [n, d]` on their device. Gradients are not tracked.
    ///
    /// The labels are those of [`Self::fit`], up to rounding; everything here is in `f32`.
    ///
    /// # Errors
    /// As [`Self::fit`]; [`Error::TensorRead`] when the device fails to deliver.
    ///
    /// ```
    /// # #[cfg(feature = "flex")] {
    /// use burn::tensor::{Device, Tensor};
    /// use grouping_core::cluster::KMeansConfig;
    /// let points = Tensor::<2>::from_floats([[0., 0.], [0., 1.], [9., 9.]], &Device::flex());
    /// let clusters = KMeansConfig::new(2).fit_tensor(points)?;
    /// assert_eq!(clusters.sizes()[clusters.labels()[0]], 2);
    /// # }
    /// # Ok::<(), grouping_core::Error>(())
    /// ```
    pub fn fit_tensor(&self, points: Tensor<2>) -> Result<TensorClusters> {
        self.fit_rows(points, None)
    }

    /// [`Self::fit_tensor`] in one run from the centroids `start [k, d]`, whatever the initialisation.
    ///
    /// # Errors
    /// As [`Self::fit_tensor`], for the centroids as for the points.
    pub fn fit_tensor_from(&self, points: Tensor<2>, start: MatrixRef<'_>) -> Result<TensorClusters> {
        self.fit_rows(points, Some(start))
    }

    fn fit_rows(&self, points: Tensor<2>, start: Option<MatrixRef<'_>>) -> Result<TensorClusters> {
        self.check(points.dims()[0])?;
        let space = TensorSpace::new(points, self.metric)?;
        let start = start.map(|start| space.adopt(start, self.n_clusters)).transpose()?;
        let best = best_run(&space, self, start, |first| run(&space, self, first))?;
        let restore = |centroids: Tensor<2>| centroids * space.unit as f32 + space.origin.clone();
        Ok(Partition::from_run(best, self, restore).rescaled(space.unit * space.unit))
    }
}

/// Labels as a tensor, `[n]`.
fn labels_on(labels: &[usize], device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i32> = labels.iter().map(|&l| l as i32).collect();
    let n = labels.len();
    Tensor::from_data(TensorData::new(labels, [n]), device)
}

struct TensorSpace {
    /// `x'`, `[n, d]`.
    points: Tensor<2>,
    /// `‖x'‖²` on the host; 1 under the cosine metric.
    squared_norms: Vec<f64>,
    metric: Metric,
    spread: f64,
    /// `x̄`, `[1, d]`.
    origin: Tensor<2>,
    /// Power of two that prepared points are scaled by.
    unit: f64,
}

impl TensorSpace {
    fn new(points: Tensor<2>, metric: Metric) -> Result<Self> {
        let points = points.inner().cast(FloatDType::F32);
        let [n, d] = points.dims();
        if d == 0 {
            let what = "points of at least one column".into();
            return Err(Error::Shape { what, expected: vec![n, 1], found: vec![n, 0] });
        }
        check_finite("points", &points)?;
        let (points, origin, unit) = match metric {
            Metric::Euclidean => {
                // Scaled before the mean is taken, so that neither the sums nor the squares leave the range of `f32`.
                let peak = scalar(points.clone().abs().max())?;
                let coarse = power_of_two_below(peak);
                let points = scale_by(points, 1.0 / coarse);
                let origin = points.clone().mean_dim(0);
                let points = points - origin.clone();
                let fine = power_of_two_below(scalar(points.clone().abs().max())?);
                (scale_by(points, 1.0 / fine), scale_by(origin, coarse), coarse * fine)
            }
            Metric::Cosine => {
                let points = unit_rows("points", points)?;
                let origin = Tensor::zeros([1, d], &points.device());
                (points, origin, 1.0)
            }
        };
        let squared_norms = match metric {
            Metric::Euclidean => read(points.clone().square().sum_dim(1))?,
            Metric::Cosine => vec![1.0; n],
        };
        let mean = read(points.clone().mean_dim(0))?;
        let mean_square = squared_norms.iter().sum::<f64>() / n as f64;
        let spread = (mean_square - mean.iter().map(|m| m * m).sum::<f64>()).max(0.0);
        Ok(Self { points, squared_norms, metric, spread, origin, unit })
    }

    fn adopt(&self, centroids: MatrixRef<'_>, k: usize) -> Result<Tensor<2>> {
        let d = self.points.dims()[1];
        let (expected, found) = (vec![k, d], vec![centroids.n_rows(), centroids.n_cols()]);
        if expected != found {
            return Err(Error::Shape { what: "initial centroids".into(), expected, found });
        }
        super::points::check_finite("initial centroids", centroids.values())?;
        let data = TensorData::new(centroids.values().to_vec(), [k, d]);
        let centroids = Tensor::from_data(data, &self.points.device());
        match self.metric {
            Metric::Euclidean => Ok(scale_by(centroids - self.origin.clone(), 1.0 / self.unit)),
            Metric::Cosine => unit_rows("initial centroids", centroids),
        }
    }

    /// `‖c_j‖²`, `[1, k]`; 1 under the cosine metric, also for a zero centroid.
    fn centroid_norms(&self, centroids: &Tensor<2>) -> Tensor<2> {
        match self.metric {
            Metric::Euclidean => centroids.clone().square().sum_dim(1).transpose(),
            Metric::Cosine => Tensor::ones([1, centroids.dims()[0]], &centroids.device()),
        }
    }

    fn select(&self, rows: &[usize]) -> Tensor<2> {
        self.points.clone().select(0, labels_on(rows, &self.points.device()))
    }
}

impl Space for TensorSpace {
    type Centroids = Tensor<2>;

    fn n_points(&self) -> usize {
        self.squared_norms.len()
    }

    fn spread(&self) -> f64 {
        self.spread
    }

    fn squared_distances(&self, from: &[usize]) -> Result<Vec<f64>> {
        let products = read(self.select(from).matmul(self.points.clone().transpose()))?;
        let rows = products.chunks_exact(self.n_points()).zip(from);
        let distances = rows.flat_map(|(row, &j)| {
            let terms = self.squared_norms.iter().map(move |own| own + self.squared_norms[j]);
            row.iter().zip(terms).map(|(product, terms)| (terms - 2.0 * product).max(0.0))
        });
        Ok(distances.collect())
    }

    fn centroids_at(&self, at: &[usize]) -> Result<Tensor<2>> {
        Ok(self.select(at))
    }

    fn means(&self, labels: &[usize], k: usize, _before: Option<&Tensor<2>>) -> Result<Tensor<2>> {
        let device = self.points.device();
        let labels = labels_on(labels, &device).unsqueeze_dim::<2>(1); // [n, 1]
        let clusters = Tensor::<1, Int>::arange(0..k as i64, &device).unsqueeze_dim::<2>(0); // [1, k]
        let members = labels.equal(clusters).float().cast(FloatDType::F32); // [n, k]
        let sums = members.clone().transpose().matmul(self.points.clone());
        match self.metric {
            Metric::Euclidean => Ok(sums / members.sum_dim(0).transpose()),
            // Members that cancel have no direction: the zero centroid has cosine 0 with every point.
            Metric::Cosine => {
                let lengths = sums.clone().square().sum_dim(1).sqrt();
                let lengths = lengths.clone().mask_fill(lengths.equal_elem(0.0), 1.0);
                Ok(sums / lengths)
            }
        }
    }

    fn squared_shift(&self, from: &Tensor<2>, to: &Tensor<2>) -> Result<f64> {
        scalar((from.clone() - to.clone()).square().sum())
    }

    fn assign(&self, centroids: &Tensor<2>, to: &mut Assignment) -> Result<()> {
        let products = self.points.clone().matmul(centroids.clone().transpose());
        let scores = self.centroid_norms(centroids) - products * 2.0;
        let (scores, labels) = scores.min_dim_with_indices(1);
        let labels =
            labels.try_into_vec_as::<i64>().map_err(|e| Error::TensorRead { cause: e.to_string() })?;
        to.labels.iter_mut().zip(labels).for_each(|(to, l)| *to = l as usize);
        let scores = read(scores)?;
        let distances = to.squared_distances.iter_mut().zip(scores).zip(&self.squared_norms);
        distances.for_each(|((to, score), own)| *to = (score + own).max(0.0));
        Ok(())
    }

    fn own_distances(&self, centroids: &Tensor<2>, assignment: &Assignment) -> Result<Vec<f64>> {
        let labels = labels_on(&assignment.labels, &self.points.device());
        let own = centroids.clone().select(0, labels);
        match self.metric {
            Metric::Euclidean => read((self.points.clone() - own).square().sum_dim(1)),
            Metric::Cosine => {
                let cosines = read((self.points.clone() * own).sum_dim(1))?;
                Ok(cosines.into_iter().map(|cosine| (2.0 - 2.0 * cosine).max(0.0)).collect())
            }
        }
    }
}

/// Multiplies by a power of two that may lie outside `f32`, in two steps that do not.
fn scale_by(x: Tensor<2>, power: f64) -> Tensor<2> {
    let half = power.log2() / 2.0;
    x * half.floor().exp2() as f32 * half.ceil().exp2() as f32
}

/// Rows divided by their lengths.
fn unit_rows(what: &str, x: Tensor<2>) -> Result<Tensor<2>> {
    let peaks = x.clone().abs().max_dim(1); // [n, 1]
    if let Some(row) = read(peaks.clone())?.iter().position(|&p| p == 0.0) {
        return Err(Error::ZeroNorm { what: what.into(), row });
    }
    let x = x / peaks;
    let lengths = x.clone().square().sum_dim(1).sqrt();
    Ok(x / lengths)
}

fn check_finite(what: &str, x: &Tensor<2>) -> Result<()> {
    let all = x.clone().is_finite().all().try_into_scalar::<bool>();
    if all.map_err(|e| Error::TensorRead { cause: e.to_string() })? {
        return Ok(());
    }
    let values = read(x.clone())?;
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(Error::NotFinite { what: what.into(), index, value: values[index] }),
        None => Ok(()),
    }
}

fn read<const D: usize>(x: Tensor<D>) -> Result<Vec<f64>> {
    x.try_into_vec_as::<f64>().map_err(|e| Error::TensorRead { cause: e.to_string() })
}

fn scalar(x: Tensor<1>) -> Result<f64> {
    x.try_into_scalar::<f64>().map_err(|e| Error::TensorRead { cause: e.to_string() })
}
