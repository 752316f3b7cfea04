//! One module of a merge: what a method is given, and what it gives back.

use std::ops::Range;
use std::sync::OnceLock;

use faer::{Mat, Scale};
use grouping_core::low_rank::{Grams, LowRankSum, ThinSvd};
use grouping_core::matrix::{Matrix, MatrixRef};

use super::ClusterReport;
use crate::adapter::Factors;

/// The sources of one module.
#[derive(Debug)]
#[non_exhaustive]
pub struct ModuleSources<'a> {
    /// Full name of the module.
    pub name: &'a str,
    /// Rank of the result.
    pub rank: usize,
    /// Factors and weight of each adapter that has the module.
    pub sources: Vec<(Factors, f64)>,
    /// Positions of these adapters among all.
    pub members: &'a [usize],
    /// Seed for random choices in this module.
    pub seed: u64,
    pub(super) grams: OnceLock<Grams>,
}

impl ModuleSources<'_> {
    /// `[d_out, d_in]`.
    pub fn shape(&self) -> [usize; 2] {
        self.sources.first().map_or([0, 0], |(f, _)| [f.b.n_rows(), f.a.n_cols()])
    }

    /// `Σ wᵢ·sᵢ·Bᵢ·Aᵢ`, not formed.
    ///
    /// # Errors
    /// [`grouping_core::Error::Shape`] when the factors do not fit each other.
    pub fn weighted_sum(&self) -> grouping_core::Result<LowRankSum<'_>> {
        let [n_outputs, n_inputs] = self.shape();
        self.sources.iter().try_fold(LowRankSum::new(n_outputs, n_inputs), |sum, (f, weight)| {
            sum.plus(weight * f.scale, f.b.view(), f.a.view())
        })
    }

    /// Inner products of all units, side by side, without scales and weights; computed once.
    ///
    /// # Errors
    /// Those of [`LowRankSum::grams`].
    pub fn grams(&self) -> grouping_core::Result<&Grams> {
        match self.grams.get() {
            Some(grams) => Ok(grams),
            None => {
                let grams = self.weighted_sum()?.grams()?;
                Ok(self.grams.get_or_init(|| grams))
            }
        }
    }

    /// Thin singular value decomposition of the weighted sum.
    ///
    /// # Errors
    /// Those of [`LowRankSum::svd`].
    pub fn svd(&self) -> grouping_core::Result<ThinSvd<'_>> {
        self.weighted_sum()?.svd_from(self.grams()?)
    }

    /// The factors `Bᵢ`, `[d_out, rᵢ]` each.
    pub(super) fn left_factors(&self) -> Vec<MatrixRef<'_>> {
        self.sources.iter().map(|(f, _)| f.b.view()).collect()
    }

    /// The factors `Aᵢ`, `[rᵢ, d_in]` each.
    pub(super) fn right_factors(&self) -> Vec<MatrixRef<'_>> {
        self.sources.iter().map(|(f, _)| f.a.view()).collect()
    }

    /// Number of units, `n = Σ rᵢ`.
    pub(super) fn n_units(&self) -> usize {
        self.sources.iter().map(|(f, _)| f.a.n_rows()).sum()
    }

    /// `wᵢ·sᵢ` of each source, and the places of its units among all.
    pub(super) fn terms(&self) -> impl Iterator<Item = (f64, Range<usize>)> + '_ {
        self.sources.iter().scan(0, |end, (f, weight)| {
            let start = *end;
            *end += f.a.n_rows();
            Some((weight * f.scale, start..*end))
        })
    }
}

/// A result in terms of the units of its sources.
#[derive(Debug, Clone)]
pub(super) enum ByUnits {
    /// All units in order, the halves `a` and `b` of each multiplied by these.
    Scaled(Vec<[f64; 2]>),
    /// `A = C_a·[A₁ ; A₂ ; …]` and `B = [B₁ B₂ …]·C_b`, with `C_a [k, n]` and `C_b [n, k]`.
    Combined([Mat<f64>; 2]),
}

/// Merged factors of one module, of scale 1.
#[derive(Debug, Clone)]
pub struct MergedModule {
    /// `A [k, d_in]`.
    pub a: Matrix,
    /// `B [d_out, k]`.
    pub b: Matrix,
    /// How the units were grouped, for methods that group.
    pub clusters: Option<ClusterReport>,
    /// `‖B·A − T‖_F / ‖T‖_F`, for methods that truncate a target `T` of higher rank.
    pub residual: Option<f64>,
    /// The result as a combination of the sources' units, where it is known: its inner products then need no pass over the values.
    pub(super) by_units: Option<ByUnits>,
}

impl MergedModule {
    /// Factors `A [k, d_in]` and `B [d_out, k]`, with nothing to report.
    pub fn new(a: Matrix, b: Matrix) -> Self {
        Self { a, b, clusters: None, residual: None, by_units: None }
    }

    /// Multiplies the result by a factor.
    pub(super) fn scale(&mut self, factor: f64) {
        self.b.values_mut().iter_mut().for_each(|v| *v = (factor * f64::from(*v)) as f32);
        match &mut self.by_units {
            None => {}
            Some(ByUnits::Scaled(scales)) => scales.iter_mut().for_each(|[_, b]| *b *= factor),
            Some(ByUnits::Combined([_, b])) => *b *= Scale(factor),
        }
    }
}
