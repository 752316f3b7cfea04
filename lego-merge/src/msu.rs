//! Minimal semantic units: one rank of one adapter in one module (LoRA-LEGO, §3.1 and Figure 1).
//!
//! `ΔW = s·B·A = Σᵢ bᵢ·aᵢᵀ`, with `aᵢ` row `i` of `A [r, d_in]` and `bᵢ` column `i` of `B [d_out, r]`. A unit is the point
//! `sᵢ = [aᵢ ; bᵢ]` of `d_in + d_out` dimensions, after the scale `w·s` of its adapter is folded in: `√|w·s|` into both
//! halves, its sign into `b`.
//!
//! Whatever is done to units before they are averaged is a factor on each half, so both Gram matrices, `A·Aᵀ` and `Bᵀ·B`,
//! are taken once, `O(n²·(d_in + d_out))`, and only scaled afterwards.
//!
//! Deviation: the paper leaves open whether the scale is folded and how adapters are weighted; this is the only choice
//! that keeps `ΔW` exact and treats both halves alike.

use faer::Mat;
use grouping_core::low_rank::{Gram, Grams, column_gram, combine_columns, combine_rows, row_gram};
use grouping_core::matrix::Matrix;
use grouping_core::stats::peaks::{column_peaks, row_peaks};

use crate::adapter::Factors;

/// The units of one module, of all its sources in order.
#[derive(Debug, Clone)]
pub struct Units<'a> {
    factors: Vec<&'a Factors>,
    /// Source and rank of each unit.
    places: Vec<(usize, usize)>,
    /// What the halves `a` and `b` of each unit are multiplied by.
    scales: Vec<[f64; 2]>,
    /// `A·Aᵀ` and `Bᵀ·B` after the scales, `[n, n]` each.
    grams: [Gram; 2],
}

impl<'a> Units<'a> {
    /// Collects the units of sources `(factors, scale)`; the scale is that of the update, `w·s`.
    ///
    /// # Errors
    /// Those of [`row_gram`]: factors that do not fit each other, or whose squares overflow.
    pub fn new(sources: impl IntoIterator<Item = (&'a Factors, f64)>) -> grouping_core::Result<Self> {
        let sources: Vec<_> = sources.into_iter().collect();
        let a: Vec<_> = sources.iter().map(|(f, _)| f.a.view()).collect();
        let b: Vec<_> = sources.iter().map(|(f, _)| f.b.view()).collect();
        let grams = Grams { left: column_gram(&b)?, right: row_gram(&a)? };
        Self::with_grams(sources, &grams)
    }

    /// As [`Self::new`], from the inner products of the halves without scales.
    ///
    /// # Errors
    /// [`grouping_core::Error::Shape`] when they are not of as many units.
    pub fn with_grams(
        sources: impl IntoIterator<Item = (&'a Factors, f64)>,
        grams: &Grams,
    ) -> grouping_core::Result<Self> {
        let (factors, folds): (Vec<&Factors>, Vec<f64>) = sources.into_iter().unzip();
        let ranks = factors.iter().map(|f| f.a.n_rows());
        let places: Vec<_> = ranks.enumerate().flat_map(|(s, rank)| (0..rank).map(move |i| (s, i))).collect();
        let fold = |&(source, _): &(usize, usize)| {
            let (scale, root) = (folds[source], folds[source].abs().sqrt());
            [root, root.copysign(scale)]
        };
        let folds: Vec<[f64; 2]> = places.iter().map(fold).collect();
        let grams = [grams.right.clone(), grams.left.clone()];
        let units = Self { factors, scales: vec![[1.0; 2]; places.len()], places, grams };
        units.scaled(&folds)
    }

    /// Number of units, `n`.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no unit.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Position in the list of sources of the source that each unit comes from, `[n]`.
    pub fn sources(&self) -> impl Iterator<Item = usize> + '_ {
        self.places.iter().map(|&(source, _)| source)
    }

    /// Multiplies the halves `a` and `b` of each unit, `[n]`.
    ///
    /// # Errors
    /// [`grouping_core::Error::Shape`] when there is not one pair a unit.
    pub fn scaled(mut self, by: &[[f64; 2]]) -> grouping_core::Result<Self> {
        let half = |h: usize| by.iter().map(|s| s[h]).collect::<Vec<_>>();
        let [a, b] = self.grams;
        self.grams = [a.scaled(&half(0))?, b.scaled(&half(1))?];
        for (scale, by) in self.scales.iter_mut().zip(by) {
            scale.iter_mut().zip(by).for_each(|(s, by)| *s *= by);
        }
        Ok(self)
    }

    /// Rescales each unit to `‖a‖ = ‖b‖`, which changes nothing in `b·aᵀ`.
    ///
    /// # Errors
    /// None for units as [`Self::new`] gives them.
    pub fn balanced(self) -> grouping_core::Result<Self> {
        let to_geometric_mean = |unit: usize| {
            let [a, b] = self.lengths(unit);
            // Where a half is zero, so is the update, and both halves may be.
            if a > 0.0 && b > 0.0 { [(b / a).sqrt(), (a / b).sqrt()] } else { [0.0; 2] }
        };
        let by: Vec<_> = (0..self.len()).map(to_geometric_mean).collect();
        self.scaled(&by)
    }

    /// Negates the units that are marked, which changes nothing in `b·aᵀ`.
    ///
    /// # Errors
    /// [`grouping_core::Error::Shape`] when there is not one mark a unit.
    pub fn flipped(self, flipped: &[bool]) -> grouping_core::Result<Self> {
        let by: Vec<_> = flipped.iter().map(|&flip| if flip { [-1.0; 2] } else { [1.0; 2] }).collect();
        self.scaled(&by)
    }

    /// Inner products of all units, `A·Aᵀ + Bᵀ·B`, `[n, n]`.
    ///
    /// # Errors
    /// None for units as [`Self::new`] gives them.
    pub fn gram(&self) -> grouping_core::Result<Gram> {
        self.grams[0].clone().plus(&self.grams[1])
    }

    /// Inner products of all units with each half scaled to length 1 (or left at 0), `[n, n]`.
    ///
    /// # Errors
    /// None for units as [`Self::new`] gives them.
    pub fn normalized_gram(&self) -> grouping_core::Result<Gram> {
        let inverse = |length: f64| if length > 0.0 { 1.0 / length } else { 0.0 };
        let by: Vec<_> = (0..self.len()).map(|unit| self.lengths(unit).map(inverse)).collect();
        self.clone().scaled(&by)?.gram()
    }

    /// Coefficients that turn the factors without scales into each group's mean: `C_a [k, n]` and `C_b [n, k]`, of `k ≥ groups.len()`
    /// means; those without a group are zero.
    pub fn means(&self, groups: &[Vec<usize>], k: usize) -> [Mat<f64>; 2] {
        let (mut a, mut b) = (Mat::zeros(k, self.len()), Mat::zeros(self.len(), k));
        for (j, members) in groups.iter().enumerate() {
            for &unit in members {
                let [scale_a, scale_b] = self.scales[unit].map(|scale| scale / members.len() as f64);
                (a[(j, unit)], b[(unit, j)]) = (scale_a, scale_b);
            }
        }
        [a, b]
    }

    /// The factors' combinations by `C_a [k, n]` and `C_b [n, k]`: `A [k, d_in]` and `B [d_out, k]`.
    ///
    /// # Errors
    /// [`grouping_core::Error::Shape`] for combinations of another number of units.
    pub fn combined(&self, [a, b]: &[Mat<f64>; 2]) -> grouping_core::Result<(Matrix, Matrix)> {
        let rows: Vec<_> = self.factors.iter().map(|f| f.a.view()).collect();
        let columns: Vec<_> = self.factors.iter().map(|f| f.b.view()).collect();
        Ok((combine_rows(a.as_ref(), &rows)?, combine_columns(&columns, b.as_ref())?))
    }

    /// `‖sᵢ‖_∞` of every unit, `[n]`. Each factor is read once.
    pub fn max_norms(&self) -> Vec<f64> {
        let mut norms = Vec::with_capacity(self.len());
        for factors in &self.factors {
            let peaks = row_peaks(factors.a.view()).into_iter().zip(column_peaks(factors.b.view()));
            for (peak_a, peak_b) in peaks {
                let [scale_a, scale_b] = self.scales[norms.len()].map(f64::abs);
                norms.push((scale_a * f64::from(peak_a)).max(scale_b * f64::from(peak_b)));
            }
        }
        norms
    }

    /// `‖sᵢ‖₂` of every unit, `[n]`.
    pub fn l2_norms(&self) -> Vec<f64> {
        (0..self.len()).map(|unit| self.lengths(unit).into_iter().fold(0.0, f64::hypot)).collect()
    }

    /// `‖aᵢ‖₂` and `‖bᵢ‖₂`.
    fn lengths(&self, unit: usize) -> [f64; 2] {
        [0, 1].map(|half: usize| self.grams[half].at(unit, unit).max(0.0).sqrt())
    }
}
