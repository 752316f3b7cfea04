//! Procrustes by rotations of planes: one angle for each pair of coordinates, and nothing between pairs.
//!
//! Pair p of coordinates `(i, j)` turns as `(x, y) → (x·cos θ − y·sin θ, x·sin θ + y·cos θ)`. With the cross matrix `M = Aᵀ·B`,
//! `tr(Qᵀ·M) = Σ_p cos θ·(M_ii + M_jj) + sin θ·(M_ij − M_ji)`, so the best angle is `θ = atan2(M_ij − M_ji, M_ii + M_jj)` and gains
//! `√((M_ii + M_jj)² + (M_ij − M_ji)²)`. Such rotations commute with every rotation of the same planes.

use serde::{Deserialize, Serialize};

use super::check;
use crate::{Error, Result};

/// Which coordinates of `0 … d − 1` make pair p.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PairLayout {
    /// `(p, p + d/2)`.
    Halves,
    /// `(2p, 2p + 1)`.
    Interleaved,
}

impl PairLayout {
    /// The coordinates of pair `pair` of `dim / 2`.
    pub fn pair(self, pair: usize, dim: usize) -> (usize, usize) {
        match self {
            Self::Halves => (pair, pair + dim / 2),
            Self::Interleaved => (2 * pair, 2 * pair + 1),
        }
    }
}

/// One angle a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaneRotations {
    layout: PairLayout,
    angles: Vec<f64>,
    gain: f64,
}

impl PlaneRotations {
    /// The angles with the least `‖A·Q − B‖`, from `cross = Aᵀ·B`, row-major `[dim, dim]`. A pair without a best angle stays.
    ///
    /// # Errors
    /// [`Error::Setting`] for an odd `dim`, [`Error::Shape`] where there are not `dim²` values, [`Error::NotFinite`].
    ///
    /// ```
    /// use grouping_core::matching::procrustes::{PairLayout, PlaneRotations};
    /// // The pair (0, 2) turned by a quarter, (1, 3) not at all.
    /// let mut cross = [0.0; 16];
    /// (cross[2], cross[8], cross[5], cross[15]) = (1.0, -1.0, 1.0, 1.0);
    /// let rotations = PlaneRotations::from_cross(&cross, 4, PairLayout::Halves)?;
    /// assert_eq!(rotations.angles(), [std::f64::consts::FRAC_PI_2, 0.0]);
    /// # Ok::<(), grouping_core::Error>(())
    /// ```
    pub fn from_cross(cross: &[f64], dim: usize, layout: PairLayout) -> Result<Self> {
        if !dim.is_multiple_of(2) {
            let (name, expected) = ("dimension of pairs".into(), "an even number".into());
            return Err(Error::Setting { name, expected, found: dim.to_string() });
        }
        check(cross, dim)?;
        let mut gain = 0.0;
        let angles = (0..dim / 2).map(|pair| {
            let (i, j) = layout.pair(pair, dim);
            let at = |row: usize, column: usize| cross[row * dim + column];
            let (cos, sin) = (at(i, i) + at(j, j), at(i, j) - at(j, i));
            gain += cos.hypot(sin);
            sin.atan2(cos)
        });
        let angles = angles.collect();
        Ok(Self { layout, angles, gain })
    }

    /// Rotations by given angles, in radians.
    pub fn new(angles: Vec<f64>, layout: PairLayout) -> Self {
        Self { layout, angles, gain: 0.0 }
    }

    /// The angle of each pair, in radians, −π to π.
    pub fn angles(&self) -> &[f64] {
        &self.angles
    }

    /// Which coordinates are pairs.
    pub fn layout(&self) -> PairLayout {
        self.layout
    }

    /// `tr(Qᵀ·M)`, half of what the rotations take off `‖A‖² + ‖B‖²` (0 where the angles were given).
    pub fn gain(&self) -> f64 {
        self.gain
    }

    /// `d`.
    pub fn dim(&self) -> usize {
        2 * self.angles.len()
    }

    /// `Q`, row-major `[d, d]`, for rows `x·Q`.
    pub fn values(&self) -> Vec<f64> {
        let dim = self.dim();
        let mut values = vec![0.0; dim * dim];
        for (pair, angle) in self.angles.iter().enumerate() {
            let (i, j) = self.layout.pair(pair, dim);
            let (sin, cos) = angle.sin_cos();
            (values[i * dim + i], values[i * dim + j]) = (cos, sin);
            (values[j * dim + i], values[j * dim + j]) = (-sin, cos);
        }
        values
    }

    /// Turns one row of `d` values in place.
    ///
    /// # Panics
    /// When the row has another length.
    pub fn turn(&self, row: &mut [f64]) {
        assert_eq!(row.len(), self.dim(), "values of a row");
        for (pair, angle) in self.angles.iter().enumerate() {
            let (i, j) = self.layout.pair(pair, row.len());
            let (sin, cos) = angle.sin_cos();
            (row[i], row[j]) = (row[i] * cos - row[j] * sin, row[i] * sin + row[j] * cos);
        }
    }
}
