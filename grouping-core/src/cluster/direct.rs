//! k-means on coordinates: `‖x − c‖² = ‖x‖² − 2 x·c + ‖c‖²`, the products by blocks.
//!
//! A block of [`BLOCK_ROWS`] points is multiplied with all centroids (`f32`, see [`super::nearest`]), and blocks run side by
//! side. Means are summed in the order of the points, by blocks, in `f64`. Neither depends on the number of threads.
//!
//! Where the three terms cancel (seeding among near points), and for the final inertia, differences are squared one by
//! one in `f64`.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::config::{KMeansConfig, Metric};
use super::lloyd::{Run, best_run, run};
use super::nearest::Tiles;
use super::partition::{Clusters, Partition};
use super::points::{Points, squared_norm};
use super::space::{Assignment, Space};
use crate::Result;
use crate::matrix::MatrixRef;
use crate::simd::{Lanes, Level, dispatch};

/// Points that are multiplied with the centroids at once.
const BLOCK_ROWS: usize = 256;
/// Centroids in a block of scores, so that it stays in the second-level cache.
const BLOCK_CENTROIDS: usize = 256;
/// Points that one task sums, at least.
const SUM_ROWS: usize = 8192;
/// Columns that one task sums.
const SUM_COLUMNS: usize = 512;
/// Below this share of its terms, a squared distance is taken again by differences.
const CANCELLATION: f64 = 1e-3;

impl KMeansConfig {
    /// Clusters `n` points in `d` dimensions, `points [n, d]`.
    ///
    /// Holds one prepared copy of the points (centred, or of unit length).
    ///
    /// # Errors
    /// [`Error::ClusterCount`](crate::Error::ClusterCount) unless `1 ≤ n_clusters ≤ n`;
    /// [`Error::Setting`](crate::Error::Setting) or [`Error::Shape`](crate::Error::Shape) for settings that do not fit;
    /// [`Error::NotFinite`](crate::Error::NotFinite) for NaN and infinity;
    /// [`Error::ZeroNorm`](crate::Error::ZeroNorm) for a zero row under [`Metric::Cosine`].
    pub fn fit(&self, points: MatrixRef<'_>) -> Result<Clusters> {
        self.fit_by(points, None, |space, first| run(space, self, first))
    }

    /// [`Self::fit`] in one run from the centroids `start [k, d]`, whatever the initialisation.
    ///
    /// # Errors
    /// As [`Self::fit`], for the centroids as for the points.
    pub fn fit_from(&self, points: MatrixRef<'_>, start: MatrixRef<'_>) -> Result<Clusters> {
        self.fit_by(points, Some(start), |space, first| run(space, self, first))
    }

    /// Runs an engine from the given or the drawn centroids and keeps the best run.
    pub(super) fn fit_by(
        &self,
        points: MatrixRef<'_>,
        start: Option<MatrixRef<'_>>,
        engine: impl Fn(&DirectSpace<'_>, Centroids) -> Result<Run<Centroids>>,
    ) -> Result<Clusters> {
        self.check(points.n_rows())?;
        let points = Points::prepare(points, self.metric)?;
        let space = DirectSpace { points: &points };
        let start = start.map(|start| points.adopt(start, self.n_clusters)).transpose()?;
        let start = start.map(|values| Centroids::new(values, &points));
        let run = best_run(&space, self, start, |first| engine(&space, first))?;
        let restore = |centroids: Centroids| points.restore(&centroids.values, self.n_clusters);
        Ok(Partition::from_run(run, self, restore).rescaled(points.squared_unit()))
    }
}

pub(super) struct DirectSpace<'a> {
    pub(super) points: &'a Points,
}

/// Rounded centroids, in the form in which points are compared with them.
enum Rounded {
    /// Side by side in lanes.
    Tiles(Tiles),
    /// `[k, d]` and `‖c_j‖²`, for a general product: where tiles would not stay in the second-level cache.
    Rows(Vec<f32>, Vec<f32>),
}

/// Centroids of prepared points.
pub(super) struct Centroids {
    /// `[k, d]`.
    pub(super) values: Vec<f64>,
    /// The same, rounded, with `‖c_j‖²` of the rounded values; 1 under the cosine metric.
    rounded: Rounded,
}

impl Centroids {
    pub(super) fn new(values: Vec<f64>, points: &Points) -> Self {
        let rounded: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        let k = values.len() / points.n_dims;
        let squared_norms = (0..k).map(|j| match points.metric {
            Metric::Euclidean => squared_norm(&rounded[j * points.n_dims..(j + 1) * points.n_dims]) as f32,
            Metric::Cosine => 1.0,
        });
        let squared_norms: Vec<f32> = squared_norms.collect();
        let rounded = if Tiles::suit(points.n_dims) {
            Rounded::Tiles(Tiles::new(&rounded, &squared_norms, points.n_dims))
        } else {
            Rounded::Rows(rounded, squared_norms)
        };
        Self { rounded, values }
    }
}

impl Space for DirectSpace<'_> {
    type Centroids = Centroids;

    fn n_points(&self) -> usize {
        self.points.n_points
    }

    fn spread(&self) -> f64 {
        self.points.spread()
    }

    fn squared_distances(&self, from: &[usize]) -> Result<Vec<f64>> {
        let (p, m) = (self.points, from.len());
        let mut out = vec![0.0; m * p.n_points];
        let gathered: Vec<f32> = from.iter().flat_map(|&i| p.row(i)).copied().collect();
        let n_blocks = p.n_points.div_ceil(BLOCK_ROWS);
        let mut columns: Vec<Vec<&mut [f64]>> = (0..n_blocks).map(|_| Vec::with_capacity(m)).collect();
        for row in out.chunks_exact_mut(p.n_points) {
            for (column, part) in columns.iter_mut().zip(row.chunks_mut(BLOCK_ROWS)) {
                column.push(part);
            }
        }
        columns.into_par_iter().enumerate().for_each_init(Vec::new, |scores, (b, mut parts)| {
            let first = b * BLOCK_ROWS;
            let n_rows = parts[0].len();
            products(p, first, n_rows, &gathered, scores);
            for ((part, scores), &j) in parts.iter_mut().zip(scores.chunks_exact(n_rows)).zip(from) {
                for (r, (d, &score)) in part.iter_mut().zip(scores).enumerate() {
                    let terms = p.squared_norms[first + r] + p.squared_norms[j];
                    *d = terms + f64::from(score);
                    if *d < CANCELLATION * terms {
                        *d = squared_difference(p.row(first + r), p.row(j));
                    }
                }
            }
        });
        Ok(out)
    }

    fn centroids_at(&self, at: &[usize]) -> Result<Centroids> {
        let values = at.iter().flat_map(|&i| self.points.row(i)).map(|&v| f64::from(v)).collect();
        Ok(Centroids::new(values, self.points))
    }

    fn means(&self, labels: &[usize], k: usize, _before: Option<&Centroids>) -> Result<Centroids> {
        let (p, d) = (self.points, self.points.n_dims);
        // By blocks of points of a size that no number of threads changes, and by ranges of columns. All sums together take at most a
        // quarter of the points' memory and that of one set of centroids.
        let n_rows = SUM_ROWS.max(8 * k);
        let (n_blocks, n_ranges) = (p.n_points.div_ceil(n_rows), d.div_ceil(SUM_COLUMNS));
        let columns = |range: usize| range * SUM_COLUMNS..((range + 1) * SUM_COLUMNS).min(d);
        let parts: Vec<Vec<f64>> = (0..n_blocks * n_ranges)
            .into_par_iter()
            .map(|part| {
                let (first, columns) = (part / n_ranges * n_rows, columns(part % n_ranges));
                let labels = &labels[first..(first + n_rows).min(p.n_points)];
                let mut sums = vec![0.0; k * columns.len()];
                add_rows(Level::detect(), &p.values[first * d + columns.start..], d, labels, &mut sums, k);
                sums
            })
            .collect();
        let mut sizes = vec![0usize; k];
        labels.iter().for_each(|&label| sizes[label] += 1);
        let mut values = vec![0.0; k * d];
        values.par_chunks_exact_mut(d).enumerate().for_each(|(j, mean)| {
            for (part, sums) in parts.iter().enumerate() {
                let columns = columns(part % n_ranges);
                let sums = &sums[j * columns.len()..][..columns.len()];
                mean[columns].iter_mut().zip(sums).for_each(|(mean, sum)| *mean += sum);
            }
            let scale = match p.metric {
                Metric::Euclidean => sizes[j] as f64,
                Metric::Cosine => mean.iter().map(|m| m * m).sum::<f64>().sqrt(),
            };
            // Members that cancel have no direction: the zero centroid has cosine 0 with every point.
            if scale > 0.0 {
                mean.iter_mut().for_each(|m| *m /= scale);
            }
        });
        Ok(Centroids::new(values, p))
    }

    fn squared_shift(&self, from: &Centroids, to: &Centroids) -> Result<f64> {
        Ok(from.values.iter().zip(&to.values).map(|(a, b)| (a - b) * (a - b)).sum())
    }

    fn assign(&self, centroids: &Centroids, to: &mut Assignment) -> Result<()> {
        let p = self.points;
        let blocks =
            to.labels.par_chunks_mut(BLOCK_ROWS).zip(to.squared_distances.par_chunks_mut(BLOCK_ROWS));
        blocks.enumerate().for_each_init(Vec::new, |scores, (b, (labels, distances))| {
            let first = b * BLOCK_ROWS;
            match &centroids.rounded {
                Rounded::Tiles(tiles) => tiles.find(p, first, labels, distances),
                Rounded::Rows(rows, squared_norms) => {
                    distances.fill(f64::INFINITY);
                    let blocks =
                        rows.chunks(BLOCK_CENTROIDS * p.n_dims).zip(squared_norms.chunks(BLOCK_CENTROIDS));
                    for (at, (rows, squared_norms)) in blocks.enumerate() {
                        products(p, first, labels.len(), rows, scores);
                        take_nearer(scores, squared_norms, at * BLOCK_CENTROIDS, labels, distances);
                    }
                }
            }
            for (distance, squared_norm) in distances.iter_mut().zip(&p.squared_norms[first..]) {
                *distance = (squared_norm + *distance).max(0.0);
            }
        });
        Ok(())
    }

    fn own_distances(&self, centroids: &Centroids, assignment: &Assignment) -> Result<Vec<f64>> {
        let (p, d) = (self.points, self.points.n_dims);
        let own = assignment.labels.par_iter().enumerate().map(|(i, &j)| {
            let centroid = &centroids.values[j * d..(j + 1) * d];
            let pairs = p.row(i).iter().zip(centroid);
            match p.metric {
                // ‖x‖² + 1: a zero centroid counts as one of unit length at a right angle.
                Metric::Cosine if centroid.iter().all(|&c| c == 0.0) => 2.0,
                _ => pairs.map(|(&x, c)| (f64::from(x) - c) * (f64::from(x) - c)).sum::<f64>(),
            }
        });
        Ok(own.collect())
    }
}

/// Takes over each centroid `first + j` of lower score `scores[j, r] + squared_norms[j]` than `best[r]`, `scores [m, n_rows]`.
fn take_nearer(scores: &[f32], squared_norms: &[f32], first: usize, labels: &mut [usize], best: &mut [f64]) {
    for (j, (scores, squared_norm)) in scores.chunks_exact(labels.len()).zip(squared_norms).enumerate() {
        for ((score, label), best) in scores.iter().zip(&mut *labels).zip(&mut *best) {
            let score = f64::from(score + squared_norm);
            let nearer = score < *best;
            *best = if nearer { score } else { *best };
            *label = if nearer { first + j } else { *label };
        }
    }
}

dispatch!(add_rows = add_rows_kernel(
    values: &[f32], d: usize, labels: &[usize], sums: &mut [f64], k: usize,
));

/// Adds the first columns of each row of `values` to the row of its label in `sums [k, columns]`; rows lie `d` apart.
#[inline(always)]
fn add_rows_kernel<L: Lanes>(values: &[f32], d: usize, labels: &[usize], sums: &mut [f64], k: usize) {
    let n_columns = sums.len() / k;
    for (row, label) in values.chunks(d).zip(labels) {
        let sum = &mut sums[label * n_columns..][..n_columns];
        sum.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(v));
    }
}

/// `−2 x_i·y_j` of the points `first..first + n_rows` and the rows of `others [m, d]`, written to `out [m, n_rows]`.
fn products(p: &Points, first: usize, n_rows: usize, others: &[f32], out: &mut Vec<f32>) {
    let d = p.n_dims;
    let m = others.len() / d;
    out.clear();
    out.resize(m * n_rows, 0.0);
    let x = MatRef::from_row_major_slice(&p.values[first * d..(first + n_rows) * d], n_rows, d);
    let y = MatRef::from_row_major_slice(others, m, d);
    let out = MatMut::from_column_major_slice_mut(out, n_rows, m);
    matmul(out, Accum::Replace, x, y.transpose(), -2.0, Par::Seq);
}

fn squared_difference(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| (f64::from(x) - f64::from(y)).powi(2)).sum()
}
