//! A weighted sum of low-rank products, `X = Σ wᵢ·Bᵢ·Aᵢ [n_rows, n_cols]`, kept by its factors.

use faer::MatRef;

use super::cross::{column_cross, row_cross};
use super::{Gram, ThinSvd, column_gram, row_gram};
use crate::matrix::MatrixRef;
use crate::stats::finite::first_not_finite;
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

/// Inner products of the units of a [`LowRankSum`], without weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Grams {
    /// Of the columns of all `Bᵢ`, `[n, n]`.
    pub left: Gram,
    /// Of the rows of all `Aᵢ`, `[n, n]`.
    pub right: Gram,
}

impl Grams {
    /// The inner products of the units and, after them, of the same units with their halves `a` and `b` multiplied by
    /// `scales [n]`: nothing is read again.
    ///
    /// # Errors
    /// [`Error::Shape`] when there is not one pair a unit, [`Error::NotFinite`] for scales that are not.
    pub fn with_scaled_units(&self, scales: &[[f64; 2]]) -> Result<Self> {
        let n = self.left.len();
        if scales.len() != n {
            let (expected, found) = (vec![n], vec![scales.len()]);
            return Err(Error::Shape { what: "scales of units".into(), expected, found });
        }
        let side = |gram: &Gram, half: usize| {
            let scale = |i: usize| if i < n { 1.0 } else { scales[i - n][half] };
            let value = |i: usize, j: usize| scale(i) * scale(j) * gram.at(i % n, j % n);
            Gram::new(2 * n, (0..4 * n * n).map(|t| value(t / (2 * n), t % (2 * n))).collect())
        };
        Ok(Self { left: side(&self.left, 1)?, right: side(&self.right, 0)? })
    }

    /// The inner products of the units and, after them, of combinations of them: rows of `a [k, n]` combine the `aᵢ`, columns of
    /// `b [n, k]` the `bᵢ`. Nothing is read again.
    ///
    /// # Errors
    /// [`Error::Shape`] where the combinations are not of as many units, [`Error::NotFinite`] for factors that are not.
    pub fn with_combinations(&self, a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Result<Self> {
        let n = self.left.len();
        for found in [a.ncols(), b.nrows()] {
            if found != n {
                let (expected, found) = (vec![n], vec![found]);
                return Err(Error::Shape { what: "units of a combination".into(), expected, found });
            }
        }
        Ok(Self { left: with_rows(&self.left, b.transpose())?, right: with_rows(&self.right, a)? })
    }
}

/// `[G, G·Cᵀ ; C·G, C·G·Cᵀ]` for `C [k, n]`.
fn with_rows(gram: &Gram, combination: MatRef<'_, f64>) -> Result<Gram> {
    let (n, k) = (gram.len(), combination.nrows());
    let units = MatRef::from_row_major_slice(gram.values(), n, n);
    let across = combination * units;
    let within = &across * combination.transpose();
    let value = |i: usize, j: usize| match (i.checked_sub(n), j.checked_sub(n)) {
        (None, None) => gram.at(i, j),
        (Some(i), None) => across[(i, j)],
        (None, Some(j)) => across[(j, i)],
        // Symmetric to the last bit, whatever the order of its sums.
        (Some(i), Some(j)) => within[(i.max(j), i.min(j))],
    };
    let len = n + k;
    Gram::new(len, (0..len * len).map(|t| value(t / len, t % len)).collect())
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

    /// Inner products of all units, side by side; what the other operations cost is mostly this.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when a factor holds NaN or infinity.
    pub fn grams(&self) -> Result<Grams> {
        let grams =
            column_gram(&self.left).and_then(|left| row_gram(&self.right).map(|right| Grams { left, right }));
        grams.map_err(|error| self.culprit().unwrap_or(error))
    }

    /// `‖X‖_F`, from the Gram matrices of both sides. Differences of nearly equal sums are good to about
    /// 1e-8 of their terms.
    ///
    /// # Errors
    /// Those of [`Self::grams`].
    pub fn frobenius_norm(&self) -> Result<f64> {
        Ok(self.frobenius_norm_from(&self.grams()?))
    }

    /// As [`Self::frobenius_norm`], from Gram matrices that are there.
    ///
    /// # Panics
    /// When `grams` are not of as many units.
    pub fn frobenius_norm_from(&self, grams: &Grams) -> f64 {
        self.square_from(grams).max(0.0).sqrt()
    }

    /// [`Self::grams`] of the sum's units and, after them, those of `b [n_rows, k]` and `a [k, n_cols]`: only the inner products
    /// with the new units are computed, `2·(n_rows + n_cols)·(n + k)·k` flops.
    ///
    /// # Errors
    /// [`Error::Shape`] when the factors do not fit, [`Error::NotFinite`] when they hold NaN or infinity.
    ///
    /// # Panics
    /// When `grams` are not of as many units.
    pub fn grams_with(&self, grams: &Grams, b: MatrixRef<'a>, a: MatrixRef<'a>) -> Result<Grams> {
        let bordered = |inner: &Gram, cross: faer::Mat<f64>| {
            let (n, all) = (inner.len(), cross.nrows());
            assert_eq!(n + cross.ncols(), all, "Gram matrix of the sum's units");
            let value = |i: usize, j: usize| {
                if i < n && j < n { inner.at(i, j) } else { cross[(i.min(j), i.max(j) - n)] }
            };
            Gram::new(all, (0..all * all).map(|t| value(t / all, t % all)).collect())
        };
        Ok(Grams {
            left: bordered(&grams.left, column_cross(&self.left, b)?)?,
            right: bordered(&grams.right, row_cross(&self.right, a)?)?,
        })
    }

    /// Thin singular value decomposition by way of the Gram matrices and the SVD of an `n × n` core,
    /// `O((n_rows + n_cols)·n²)`.
    ///
    /// # Errors
    /// Those of [`Self::grams`], [`Error::NoConvergence`] from the core's SVD.
    pub fn svd(&self) -> Result<ThinSvd<'a>> {
        self.svd_from(&self.grams()?)
    }

    /// As [`Self::svd`], from Gram matrices that are there.
    ///
    /// # Errors
    /// [`Error::NoConvergence`] from the core's SVD.
    ///
    /// # Panics
    /// When `grams` are not of as many units.
    pub fn svd_from(&self, grams: &Grams) -> Result<ThinSvd<'a>> {
        ThinSvd::of(self, grams)
    }

    /// One weight a unit, `[Σ rᵢ]`.
    pub(super) fn unit_weights(&self) -> Vec<f64> {
        let terms = self.weights.iter().zip(&self.right);
        terms.flat_map(|(&w, a)| std::iter::repeat_n(w, a.n_rows())).collect()
    }

    fn square_from(&self, grams: &Grams) -> f64 {
        let w = self.unit_weights();
        let n = w.len();
        assert_eq!([grams.left.len(), grams.right.len()], [n, n], "Gram matrices of the sum's units");
        let pairs = grams.left.values().iter().zip(grams.right.values()).enumerate();
        pairs.map(|(t, (b, a))| w[t / n] * w[t % n] * b * a).sum()
    }

    /// The value at fault, where inner products are not finite.
    fn culprit(&self) -> Option<Error> {
        let sides = [("left factor", &self.left), ("right factor", &self.right)];
        let mut parts = sides.into_iter().flat_map(|(what, parts)| parts.iter().map(move |p| (what, p)));
        parts.find_map(|(what, part)| {
            let index = first_not_finite(part.values())?;
            Some(Error::NotFinite { what: what.into(), index, value: f64::from(part.values()[index]) })
        })
    }
}
