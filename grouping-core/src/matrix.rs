//! Row-major `f32` matrices on the host: the form in which units arrive from files.

use crate::{Error, Result};

/// A borrowed row-major matrix of shape `[n_rows, n_cols]`.
#[derive(Debug, Clone, Copy)]
pub struct MatrixRef<'a> {
    n_rows: usize,
    n_cols: usize,
    values: &'a [f32],
}

impl<'a> MatrixRef<'a> {
    /// Views `values` as `[n_rows, n_cols]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when `values.len() != n_rows · n_cols`.
    pub fn new(n_rows: usize, n_cols: usize, values: &'a [f32]) -> Result<Self> {
        if n_rows.checked_mul(n_cols) == Some(values.len()) {
            Ok(Self { n_rows, n_cols, values })
        } else {
            Err(Error::Shape {
                what: "matrix".into(),
                expected: vec![n_rows, n_cols],
                found: vec![values.len()],
            })
        }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// All values, row after row.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }

    /// Row `i`, `[n_cols]`.
    ///
    /// # Panics
    /// When `i >= n_rows`.
    pub fn row(&self, i: usize) -> &'a [f32] {
        &self.values[i * self.n_cols..(i + 1) * self.n_cols]
    }
}

/// An owned row-major matrix of shape `[n_rows, n_cols]`.
///
/// ```
/// use grouping_core::matrix::Matrix;
/// let m = Matrix::new(2, 3, vec![1., 2., 3., 4., 5., 6.])?;
/// assert_eq!(m.view().row(1), [4., 5., 6.]);
/// # Ok::<(), grouping_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    n_rows: usize,
    n_cols: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// Takes `values` as `[n_rows, n_cols]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when `values.len() != n_rows · n_cols`.
    pub fn new(n_rows: usize, n_cols: usize, values: Vec<f32>) -> Result<Self> {
        MatrixRef::new(n_rows, n_cols, &values)?;
        Ok(Self { n_rows, n_cols, values })
    }

    /// A matrix of zeros.
    pub fn zeros(n_rows: usize, n_cols: usize) -> Self {
        Self { n_rows, n_cols, values: vec![0.0; n_rows * n_cols] }
    }

    /// A matrix whose value at `(row, column)` is `f(row, column)`.
    pub fn from_fn(n_rows: usize, n_cols: usize, mut f: impl FnMut(usize, usize) -> f32) -> Self {
        let values = (0..n_rows * n_cols).map(|i| f(i / n_cols, i % n_cols)).collect();
        Self { n_rows, n_cols, values }
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of columns.
    pub fn n_cols(&self) -> usize {
        self.n_cols
    }

    /// All values, row after row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, row after row, to be changed in place.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The values themselves, row after row.
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// The matrix, borrowed.
    pub fn view(&self) -> MatrixRef<'_> {
        MatrixRef { n_rows: self.n_rows, n_cols: self.n_cols, values: &self.values }
    }
}
