//! Correlations between rows, of one matrix or of two.
//!
//! | measure | `r(x, y)` | NaN for a row that is |
//! |---|---|---|
//! | Pearson | `Σ (xₜ − x̄)(yₜ − ȳ) / (‖x − x̄‖·‖y − ȳ‖)` | constant |
//! | Spearman | Pearson of the ranks; equal values share the mean of their ranks | constant |
//! | cosine | `x·y / (‖x‖·‖y‖)` | zero |
//!
//! Rows are standardised and multiplied in `f64`, tile by tile: some rows by some rows, a panel of columns at a time. (Products in
//! `f32` by panels of 256 columns, added in `f64`, take about 0.7 of the time and are up to 1.4e-7 off at 8,192 columns.) Tiles run
//! side by side and have a fixed size, so results do not depend on the number of threads. Cost: `n·m·d` multiply-adds, half of
//! them for the rows of one matrix. Memory beside the result: three tiles a thread; Spearman also holds ranks of at most 256 MB.

mod rank;
mod standard;
#[cfg(feature = "burn")]
mod tensor;
mod tile;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use self::rank::ranks;
use self::standard::Standardised;
#[cfg(feature = "burn")]
pub use self::tensor::correlation_tensor;
use self::tile::{Sheet, multiply};
use crate::matrix::MatrixRef;
use crate::stats::finite::first_not_finite;
use crate::{Error, Result};

/// How two rows are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Measure {
    /// Linear: the cosine of the rows without their means.
    Pearson,
    /// Monotone: Pearson's correlation of the ranks.
    Spearman,
    /// The cosine of the rows as they are.
    Cosine,
}

/// One correlation for each pair of rows, `[n_rows, n_cols]`, in `[−1, 1]` or NaN.
#[derive(Debug, Clone, PartialEq)]
pub struct Correlations {
    n_rows: usize,
    n_cols: usize,
    values: Vec<f64>,
}

impl Correlations {
    /// Number of rows of the first matrix.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of rows of the second matrix.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// All values, row after row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The values themselves, row after row.
    pub fn into_values(self) -> Vec<f64> {
        self.values
    }

    /// Correlation of row `i` of the first matrix and row `j` of the second.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn at(&self, i: usize, j: usize) -> f64 {
        assert!(j < self.n_cols, "row {j} of {}", self.n_cols);
        self.values[i * self.n_cols + j]
    }
}

/// Correlations among the rows of `x [n, d]`, `[n, n]`: symmetric, with ones on the diagonal, and NaN in the row and the column of
/// a row that is constant (cosine: zero), as NumPy and SciPy have it.
///
/// # Errors
/// [`Error::Shape`] for a matrix without columns, [`Error::NotFinite`] for NaN and infinity.
///
/// ```
/// use grouping_core::{correlation::{Measure, correlation_within}, matrix::MatrixRef};
/// let x = MatrixRef::new(3, 3, &[1., 2., 4., 10., 20., 40., 3., 2., 1.])?;
/// let pearson = correlation_within(x, Measure::Pearson)?;
/// assert!((pearson.at(0, 1) - 1.0).abs() < 1e-15);
/// let spearman = correlation_within(x, Measure::Spearman)?;
/// assert!((spearman.at(0, 2) + 1.0).abs() < 1e-15);
/// # Ok::<(), grouping_core::Error>(())
/// ```
pub fn correlation_within(x: MatrixRef<'_>, measure: Measure) -> Result<Correlations> {
    correlate(x, None, measure)
}

/// Correlations of the rows of `x [n, d]` with those of `y [m, d]`, `[n, m]`; NaN in the row or the column of a row that is
/// constant (cosine: zero).
///
/// # Errors
/// As [`correlation_within`]; [`Error::Shape`] where the numbers of columns differ.
pub fn correlation_between(x: MatrixRef<'_>, y: MatrixRef<'_>, measure: Measure) -> Result<Correlations> {
    if y.n_cols() != x.n_cols() {
        let (expected, found) = (vec![y.n_rows(), x.n_cols()], vec![y.n_rows(), y.n_cols()]);
        return Err(Error::Shape { what: "second matrix".into(), expected, found });
    }
    check("second matrix", y)?;
    correlate(x, Some(y), measure)
}

/// Values whose ranks are held at once, in each of two blocks of rows.
const RANKED_VALUES: usize = 1 << 25;

fn correlate(x: MatrixRef<'_>, y: Option<MatrixRef<'_>>, measure: Measure) -> Result<Correlations> {
    check("matrix", x)?;
    let other = y.unwrap_or(x);
    let (n_rows, n_cols) = (x.n_rows(), other.n_rows());
    let mut values = vec![0.0; n_rows * n_cols];
    let sheet = Sheet::new(&mut values, n_cols, y.is_none());
    // Ranks are made anew for each pair of blocks; other rows are read where they are, all in one block.
    let height = match measure {
        Measure::Spearman => (RANKED_VALUES / x.n_cols()).max(1),
        Measure::Pearson | Measure::Cosine => n_rows.max(n_cols).max(1),
    };
    for i in (0..n_rows).step_by(height) {
        let rows = prepare(x, i..(i + height).min(n_rows), measure);
        let end = if y.is_none() { i } else { n_cols };
        for j in (0..end).step_by(height) {
            let columns = prepare(other, j..(j + height).min(n_cols), measure);
            multiply(&rows, Some(&columns), [i, j], &sheet);
        }
        if y.is_none() {
            multiply(&rows, None, [i, i], &sheet);
        }
    }
    Ok(Correlations { n_rows, n_cols, values })
}

/// Some rows as `measure` compares them.
fn prepare<'a>(m: MatrixRef<'a>, rows: Range<usize>, measure: Measure) -> Standardised<'a> {
    let values = &m.values()[rows.start * m.n_cols()..rows.end * m.n_cols()];
    match measure {
        Measure::Pearson => Standardised::centred(values.into(), m.n_cols()),
        Measure::Spearman => Standardised::centred(ranks(values, m.n_cols()).into(), m.n_cols()),
        Measure::Cosine => Standardised::as_it_is(values.into(), m.n_cols()),
    }
}

fn check(what: &str, m: MatrixRef<'_>) -> Result<()> {
    // Ranks are sorted with the place of a value in 32 bits.
    if m.n_cols() == 0 || u32::try_from(m.n_cols()).is_err() {
        let (expected, found) = (vec![m.n_rows(), 1], vec![m.n_rows(), m.n_cols()]);
        let what = format!("{what} of at least one and less than 2³² columns");
        return Err(Error::Shape { what, expected, found });
    }
    match first_not_finite(m.values()) {
        None => Ok(()),
        Some(index) => {
            let value = f64::from(m.values()[index]);
            Err(Error::NotFinite { what: what.into(), index, value })
        }
    }
}
