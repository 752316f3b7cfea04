//! Points in coordinates, prepared so that `f32` distances are sound.
//!
//! Euclidean: `x' = (x − x̄) · 2^−e`, with the mean taken in `f64` and `e` such that `max |x'|` is in `[1, 2)`: far
//! origins cost no digits, and neither huge nor tiny values leave the range of squares in `f32`. Cosine:
//! `x' = x / ‖x‖`. Squared distances of the originals are `2^{2e}` those of the prepared points.

use rayon::prelude::*;

use super::config::Metric;
use crate::matrix::{Matrix, MatrixRef};
use crate::stats::finite::first_not_finite;
use crate::{Error, Result};

/// Rows whose column sums are taken at once; fixed, so that sums do not depend on the number of threads.
const MEAN_ROWS: usize = 4096;

/// Prepared points `[n, d]` and the way back.
pub(super) struct Points {
    pub(super) n_points: usize,
    pub(super) n_dims: usize,
    pub(super) values: Vec<f32>,
    /// `‖x'‖²`.
    pub(super) squared_norms: Vec<f64>,
    pub(super) metric: Metric,
    /// `x̄`, `[d]`.
    origin: Vec<f64>,
    /// `2^e`.
    unit: f64,
}

impl Points {
    pub(super) fn prepare(points: MatrixRef<'_>, metric: Metric) -> Result<Self> {
        if points.n_cols() == 0 {
            let (expected, found) = (vec![points.n_rows(), 1], vec![points.n_rows(), 0]);
            return Err(Error::Shape { what: "points of at least one column".into(), expected, found });
        }
        check_finite("points", points.values())?;
        let (n_points, n_dims) = (points.n_rows(), points.n_cols());
        let (values, origin, unit) = match metric {
            Metric::Euclidean => centred(points),
            Metric::Cosine => (normalised(points)?, vec![0.0; n_dims], 1.0),
        };
        let squared_norms = match metric {
            Metric::Euclidean => rows(&values, n_points, n_dims).map(squared_norm).collect(),
            Metric::Cosine => vec![1.0; n_points],
        };
        Ok(Self { n_points, n_dims, values, squared_norms, metric, origin, unit })
    }

    pub(super) fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.n_dims..(i + 1) * self.n_dims]
    }

    /// `(1/n) Σ ‖x' − x̄'‖²`.
    pub(super) fn spread(&self) -> f64 {
        let mean_square = self.squared_norms.iter().sum::<f64>() / self.n_points as f64;
        match self.metric {
            Metric::Euclidean => mean_square,
            Metric::Cosine => {
                let mean = column_means(&self.values, self.n_points, self.n_dims);
                (mean_square - mean.iter().map(|m| m * m).sum::<f64>()).max(0.0)
            }
        }
    }

    /// Square of the unit of length: what squared distances of prepared points must be multiplied by.
    pub(super) fn squared_unit(&self) -> f64 {
        self.unit * self.unit
    }

    /// Prepared centroids `[k, d]` in the coordinates of the original points.
    pub(super) fn restore(&self, centroids: &[f64], k: usize) -> Matrix {
        Matrix::from_fn(k, self.n_dims, |j, t| {
            (centroids[j * self.n_dims + t] * self.unit + self.origin[t]) as f32
        })
    }

    /// Given centroids `[k, d]` in the coordinates of the prepared points.
    pub(super) fn adopt(&self, centroids: MatrixRef<'_>, k: usize) -> Result<Vec<f64>> {
        let (expected, found) = ([k, self.n_dims], [centroids.n_rows(), centroids.n_cols()]);
        if expected != found {
            let (expected, found) = (expected.to_vec(), found.to_vec());
            return Err(Error::Shape { what: "initial centroids".into(), expected, found });
        }
        check_finite("initial centroids", centroids.values())?;
        if self.metric == Metric::Cosine {
            return Ok(unit_rows("initial centroids", centroids)?.collect());
        }
        let columns = self.origin.iter().cycle();
        Ok(centroids.values().iter().zip(columns).map(|(&c, o)| (f64::from(c) - o) / self.unit).collect())
    }
}

/// [`Error::NotFinite`] for the first value that is NaN or infinite.
pub(super) fn check_finite(what: &str, values: &[f32]) -> Result<()> {
    match first_not_finite(values) {
        None => Ok(()),
        Some(index) => Err(Error::NotFinite { what: what.into(), index, value: f64::from(values[index]) }),
    }
}

/// `‖x‖²` in `f64`.
pub(super) fn squared_norm(row: &[f32]) -> f64 {
    row.iter().map(|&v| f64::from(v) * f64::from(v)).sum()
}

/// The greatest power of two that is at most `peak`; 1 for 0.
pub(super) fn power_of_two_below(peak: f64) -> f64 {
    if peak > 0.0 { peak.log2().floor().exp2() } else { 1.0 }
}

fn rows(values: &[f32], n: usize, d: usize) -> impl IndexedParallelIterator<Item = &[f32]> {
    (0..n).into_par_iter().map(move |i| &values[i * d..(i + 1) * d])
}

fn column_means(values: &[f32], n: usize, d: usize) -> Vec<f64> {
    let partial: Vec<Vec<f64>> = values
        .par_chunks(MEAN_ROWS * d)
        .map(|block| {
            let mut sums = vec![0.0; d];
            for row in block.chunks_exact(d) {
                sums.iter_mut().zip(row).for_each(|(s, &v)| *s += f64::from(v));
            }
            sums
        })
        .collect();
    let mut means = vec![0.0; d];
    for sums in partial {
        means.iter_mut().zip(sums).for_each(|(m, s)| *m += s);
    }
    means.iter_mut().for_each(|m| *m /= n as f64);
    means
}

fn centred(points: MatrixRef<'_>) -> (Vec<f32>, Vec<f64>, f64) {
    let (n, d) = (points.n_rows(), points.n_cols());
    let origin = column_means(points.values(), n, d);
    let peak = rows(points.values(), n, d)
        .map(|row| row.iter().zip(&origin).fold(0.0, |m: f64, (&v, o)| m.max((f64::from(v) - o).abs())))
        .reduce(|| 0.0, f64::max);
    let unit = power_of_two_below(peak);
    let mut values = vec![0f32; n * d];
    let out = values.par_chunks_exact_mut(d).zip(points.values().par_chunks_exact(d));
    out.for_each(|(out, row)| {
        for ((o, &v), m) in out.iter_mut().zip(row).zip(&origin) {
            *o = ((f64::from(v) - m) / unit) as f32;
        }
    });
    (values, origin, unit)
}

fn normalised(points: MatrixRef<'_>) -> Result<Vec<f32>> {
    Ok(unit_rows("points", points)?.map(|v| v as f32).collect())
}

/// The values of all rows, each row divided by its length.
fn unit_rows<'a>(what: &str, m: MatrixRef<'a>) -> Result<impl Iterator<Item = f64> + use<'a>> {
    let lengths: Vec<f64> =
        rows(m.values(), m.n_rows(), m.n_cols()).map(|row| squared_norm(row).sqrt()).collect();
    match lengths.iter().position(|&l| l == 0.0) {
        Some(row) => Err(Error::ZeroNorm { what: what.into(), row }),
        None => Ok((0..m.n_rows()).flat_map(move |i| {
            m.row(i).iter().map({
                let l = lengths[i];
                move |&v| f64::from(v) / l
            })
        })),
    }
}
