//! A weighted sum of low-rank products, `X = Σ wᵢ·Bᵢ·Aᵢ [n_rows, n_cols]`, kept by its factors.

use faer::Mat;

use super::{ThinSvd, column_gram, row_gram};
use crate::matrix::MatrixRef;
use crate::{Error, Result};

/// `Σ wᵢ·Bᵢ·Aᵢ` with `Bᵢ [n_rows, rᵢ]`, `Aᵢ [rᵢ, n_cols]`, never formed.
///
/// ```
/// use grouping_core::{low_rank::LowRankSum, matrix::MatrixRef};
/// let b = MatrixRef::new(2, 1, &[3., 4.])?;
/// let a = MatrixRef::new(1, 3, &[0., 2., 0.])?;
/// let sum = LowRankSum::new(2, 3).plus(0.5, b, a)?;
/// assert!((sum.frobenius_norm()? - 5.0).abs() < 1e-12);
/// assert!((sum.svd()?.singular_values()[0] - 5.0).abs() < 1e-12);
/// # Ok::<(), grouping_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LowRankSum<'a> {
    n_rows: usize,
    n_cols: usize,
    pub(super) weights: Vec<f64>,
    pub(super) left: Vec<MatrixRef<'a>>,
    pub(super) right: Vec<MatrixRef<'a>>,
}

impl<'a> LowRankSum<'a> {
    /// The empty sum of shape `[n_rows, n_cols]`.
    pub fn new(n_rows: usize, n_cols: usize) -> Self {
        Self { n_rows, n_cols, weights: vec![], left: vec![], right: vec![] }
    }

    /// Adds `weight · b · a`, with `b [n_rows, r]` and `a [r, n_cols]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the factors do not fit, [`Error::NotFinite`] when the weight is NaN or infinite.
    pub fn plus(mut self, weight: f64, b: MatrixRef<'a>, a: MatrixRef<'a>) -> Result<Self> {
        let checks = [
            ("left factor", [self.n_rows, a.n_rows()], [b.n_rows(), b.n_cols()]),
            ("right factor", [b.n_cols(), self.n_cols], [a.n_rows(), a.n_cols()]),
        ];
        for (what, expected, found) in checks {
            if expected != found {
                let (expected, found) = (expected.to_vec(), found.to_vec());
                return Err(Error::Shape { what: what.into(), expected, found });
            }
        }
        if !weight.is_finite() {
            return Err(Error::NotFinite { what: "weight".into(), index: self.weights.len(), value: weight });
        }
        self.weights.push(weight);
        self.left.push(b);
        self.right.push(a);
        Ok(self)
    }

    /// `[n_rows, n_cols]` of the matrix that the sum stands for.
    pub fn shape(&self) -> [usize; 2] {
        [self.n_rows, self.n_cols]
    }

    /// `Σ rᵢ`, an upper bound of the rank.
    pub fn n_units(&self) -> usize {
        self.right.iter().map(MatrixRef::n_rows).sum()
    }

    /// `‖X‖_F`, from the Gram matrices of both sides. Differences of nearly equal sums are good to about
    /// 1e-8 of their terms.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when a factor holds NaN or infinity.
    pub fn frobenius_norm(&self) -> Result<f64> {
        let (bb, aa) = (column_gram(&self.left)?, row_gram(&self.right)?);
        let w = self.unit_weights();
        let n = w.len();
        let pairs = bb.values().iter().zip(aa.values()).enumerate();
        let square: f64 = pairs.map(|(t, (b, a))| w[t / n] * w[t % n] * b * a).sum();
        Ok(square.max(0.0).sqrt())
    }

    /// Thin singular value decomposition by QR of both stacks and SVD of the core, `O((n_rows + n_cols)·n²)`.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when a factor holds NaN or infinity, [`Error::NoConvergence`] from the core's SVD.
    pub fn svd(&self) -> Result<ThinSvd> {
        ThinSvd::of(self)
    }

    /// One weight a unit, `[Σ rᵢ]`.
    pub(super) fn unit_weights(&self) -> Vec<f64> {
        let terms = self.weights.iter().zip(&self.right);
        terms.flat_map(|(&w, a)| std::iter::repeat_n(w, a.n_rows())).collect()
    }

    /// `[B₁ B₂ …]`, `[n_rows, n]`.
    pub(super) fn stacked_left(&self) -> Result<Mat<f64>> {
        stack(&self.left, self.n_rows, self.n_units(), "left factor", |part, unit, t| part.row(t)[unit])
    }

    /// `[A₁ ; A₂ ; …]ᵀ`, `[n_cols, n]`.
    pub(super) fn stacked_right(&self) -> Result<Mat<f64>> {
        stack(&self.right, self.n_cols, self.n_units(), "right factor", |part, unit, t| part.row(unit)[t])
    }
}

/// Columns `t ↦ value(part, unit, t)` for every unit of every part, in order.
fn stack(
    parts: &[MatrixRef<'_>],
    len: usize,
    n_units: usize,
    what: &str,
    value: impl Fn(&MatrixRef<'_>, usize, usize) -> f32,
) -> Result<Mat<f64>> {
    for part in parts {
        if let Some(index) = part.values().iter().position(|v| !v.is_finite()) {
            let value = f64::from(part.values()[index]);
            return Err(Error::NotFinite { what: what.into(), index, value });
        }
    }
    let units: Vec<(usize, usize)> = parts
        .iter()
        .enumerate()
        .flat_map(|(p, part)| (0..part.values().len() / len.max(1)).map(move |unit| (p, unit)))
        .collect();
    debug_assert_eq!(units.len(), if len == 0 { 0 } else { n_units });
    Ok(Mat::from_fn(len, units.len(), |t, u| {
        let (p, unit) = units[u];
        f64::from(value(&parts[p], unit, t))
    }))
}
