//! Minimal semantic units: one rank of one adapter in one module (LoRA-LEGO, §3.1 and Figure 1).
//!
//! `ΔW = s·B·A = Σᵢ bᵢ·aᵢᵀ`, with `aᵢ` row `i` of `A [r, d_in]` and `bᵢ` column `i` of `B [d_out, r]`. A unit is the point
//! `sᵢ = [aᵢ ; bᵢ]` of `d_in + d_out` dimensions, after the scale `w·s` of its adapter is folded in: `√|w·s|` into both
//! halves, its sign into `b`.
//!
//! Deviation: the paper leaves open whether the scale is folded and how adapters are weighted; this is the only choice
//! that keeps `ΔW` exact and treats both halves alike.

use grouping_core::low_rank::{Gram, Grams, column_gram, row_gram};
use grouping_core::matrix::Matrix;

use crate::adapter::Factors;

/// The units of one module, of all its sources in order.
#[derive(Debug)]
pub struct Units<'a> {
    sources: Vec<(&'a Factors, f64)>,
    places: Vec<(usize, usize)>,
}

impl<'a> Units<'a> {
    /// Collects the units of sources `(factors, weight)`.
    pub fn new(sources: impl IntoIterator<Item = (&'a Factors, f64)>) -> Self {
        let sources: Vec<_> = sources.into_iter().map(|(f, weight)| (f, weight * f.scale)).collect();
        let ranks = sources.iter().map(|(f, _)| f.a.n_rows());
        let places = ranks.enumerate().flat_map(|(s, rank)| (0..rank).map(move |i| (s, i))).collect();
        Self { sources, places }
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

    /// Inner products of all units, `A·Aᵀ + Bᵀ·B` with the scales folded in, `[n, n]`.
    ///
    /// # Errors
    /// Those of [`row_gram`].
    pub fn gram(&self) -> grouping_core::Result<Gram> {
        let a: Vec<_> = self.sources.iter().map(|(f, _)| f.a.view()).collect();
        let b: Vec<_> = self.sources.iter().map(|(f, _)| f.b.view()).collect();
        self.gram_from(&Grams { left: column_gram(&b)?, right: row_gram(&a)? })
    }

    /// As [`Self::gram`], from the inner products of the units' halves, without scales.
    ///
    /// # Errors
    /// [`grouping_core::Error::Shape`] when they are not of as many units.
    pub fn gram_from(&self, grams: &Grams) -> grouping_core::Result<Gram> {
        let fold_a: Vec<f64> = self.places.iter().map(|&(s, _)| self.fold(s).0).collect();
        let fold_b: Vec<f64> = self.places.iter().map(|&(s, _)| self.fold(s).1).collect();
        grams.right.clone().scaled(&fold_a)?.plus(&grams.left.clone().scaled(&fold_b)?)
    }

    /// Mean of the units in `members`: its halves `a [d_in]`, `b [d_out]`.
    pub fn mean(&self, members: &[usize]) -> (Vec<f64>, Vec<f64>) {
        let (d_in, d_out) = self.sources.first().map_or((0, 0), |(f, _)| (f.a.n_cols(), f.b.n_rows()));
        let (mut a, mut b) = (vec![0.0; d_in], vec![0.0; d_out]);
        for &unit in members {
            let (source, i) = self.places[unit];
            let (factors, _) = self.sources[source];
            let (fold_a, fold_b) = self.fold(source);
            for (sum, &v) in a.iter_mut().zip(factors.a.view().row(i)) {
                *sum += fold_a * f64::from(v);
            }
            for (sum, v) in b.iter_mut().zip(column(&factors.b, i)) {
                *sum += fold_b * f64::from(v);
            }
        }
        let n = members.len().max(1) as f64;
        a.iter_mut().chain(&mut b).for_each(|v| *v /= n);
        (a, b)
    }

    /// `‖sᵢ‖_∞` of one unit.
    pub fn max_norm(&self, unit: usize) -> f64 {
        let (source, i) = self.places[unit];
        let (factors, _) = self.sources[source];
        let peak = |m: f64, v: f32| m.max(f64::from(v).abs());
        let a = factors.a.view().row(i).iter().copied().fold(0.0, peak);
        let b = column(&factors.b, i).fold(0.0, peak);
        self.fold(source).0 * a.max(b)
    }

    /// What both halves of a source's units are multiplied by.
    fn fold(&self, source: usize) -> (f64, f64) {
        let scale = self.sources[source].1;
        let root = scale.abs().sqrt();
        (root, root.copysign(scale))
    }
}

fn column(m: &Matrix, j: usize) -> impl Iterator<Item = f32> + '_ {
    m.values().iter().skip(j).step_by(m.n_cols()).copied()
}
