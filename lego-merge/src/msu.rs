//! Minimal semantic units: one rank of one adapter in one module (LoRA-LEGO, §3.1 and Figure 1).
//!
//! `ΔW = s·B·A = Σᵢ bᵢ·aᵢᵀ`, with `aᵢ` row `i` of `A [r, d_in]` and `bᵢ` column `i` of `B [d_out, r]`. A unit is the point
//! `sᵢ = [aᵢ ; bᵢ]` of `d_in + d_out` dimensions, after the scale `w·s` of its adapter is folded in: `√|w·s|` into both
//! halves, its sign into `b`.
//!
//! Deviation: the paper leaves open whether the scale is folded and how adapters are weighted; this is the only choice
//! that keeps `ΔW` exact and treats both halves alike.

use grouping_core::low_rank::{Gram, Grams, column_gram, row_gram};

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

    /// Mean of the units of each group: its halves `a [d_in]`, `b [d_out]`. A unit is in one group at most.
    pub fn means(&self, groups: &[Vec<usize>]) -> Vec<(Vec<f64>, Vec<f64>)> {
        let (d_in, d_out) = self.sources.first().map_or((0, 0), |(f, _)| (f.a.n_cols(), f.b.n_rows()));
        let mut group_of = vec![None; self.len()];
        for (g, members) in groups.iter().enumerate() {
            members.iter().for_each(|&unit| group_of[unit] = Some((g, 1.0 / members.len() as f64)));
        }
        let mut a = vec![vec![0.0; d_in]; groups.len()];
        // Rows of B' first, as B lies in memory.
        let mut rows = vec![0.0; d_out * groups.len()];
        let mut first = 0;
        for (source, (factors, _)) in self.sources.iter().enumerate() {
            let r = factors.a.n_rows();
            let own = &group_of[first..first + r];
            let (fold_a, fold_b) = self.fold(source);
            for (i, place) in own.iter().enumerate() {
                let Some((g, share)) = *place else { continue };
                for (sum, &v) in a[g].iter_mut().zip(factors.a.view().row(i)) {
                    *sum += share * fold_a * f64::from(v);
                }
            }
            let places: Vec<(usize, usize, f64)> = own
                .iter()
                .enumerate()
                .filter_map(|(i, g)| g.map(|(g, share)| (i, g, share * fold_b)))
                .collect();
            let of_b = factors.b.values().chunks_exact(r.max(1));
            for (sums, row) in rows.chunks_exact_mut(groups.len().max(1)).zip(of_b) {
                places.iter().for_each(|&(i, g, factor)| sums[g] += factor * f64::from(row[i]));
            }
            first += r;
        }
        let column = |g: usize| rows.iter().skip(g).step_by(groups.len().max(1)).copied().collect();
        a.into_iter().enumerate().map(|(g, a)| (a, column(g))).collect()
    }

    /// `‖sᵢ‖_∞` of every unit, `[n]`.
    pub fn max_norms(&self) -> Vec<f64> {
        let mut norms = Vec::with_capacity(self.len());
        for (source, (factors, _)) in self.sources.iter().enumerate() {
            let peak = |m: f32, v: &f32| m.max(v.abs());
            let r = factors.a.n_rows();
            let mut peaks: Vec<f32> =
                (0..r).map(|i| factors.a.view().row(i).iter().fold(0.0, peak)).collect();
            for row in factors.b.values().chunks_exact(r.max(1)) {
                peaks.iter_mut().zip(row).for_each(|(m, v)| *m = peak(*m, v));
            }
            let (fold, _) = self.fold(source);
            norms.extend(peaks.into_iter().map(|m| fold * f64::from(m)));
        }
        norms
    }

    /// What both halves of a source's units are multiplied by.
    fn fold(&self, source: usize) -> (f64, f64) {
        let scale = self.sources[source].1;
        let root = scale.abs().sqrt();
        (root, root.copysign(scale))
    }
}
