//! LoRA-LEGO (arXiv 2409.16167): cluster the units of all adapters, one merged unit a cluster.
//!
//! k-means over the `n` units of a module (see [`crate::msu`]) in Gram space; centroid `μⱼ` gives row `j` of `A'` and column
//! `j` of `B'`. Dual reweighting:
//! - parameter: `μⱼ ← μⱼ · mean_{s∈Sⱼ} ‖s‖ / ‖μⱼ‖`, because the mean of `m` nearly orthogonal units of norm `ρ` has norm
//!   about `ρ/√m`;
//! - output: `ΔW ← ΔW·√(r/k)`, because the variance of the output grows with `k`.
//!
//! Cost: the Gram matrices, `O(n²·(d_in + d_out))`; an iteration is free of `d`.
//! It loses to `svd` at the same rank once one global scale is tuned for both (see the experiment `lego-merge/multitask`).
//!
//! Deviations: the paper's text leaves the folding of scales, weights, the features, the norm and the treatment of
//! unequal ranks open; scales and weights are folded into the units, which then count equally, the norm is `‖·‖_∞` and `r`
//! the mean rank of the module's sources unless chosen otherwise, and `k = n` keeps every unit as it is.

mod auto;
mod features;
mod preset;
mod report;
mod reweight;

pub(super) use auto::clearest_number_of_clusters;
pub(crate) use features::Grouping;
pub use features::{Features, Gauge};
use grouping_core::cluster::{EmptyClusters, GramKMeansConfig, Init, KMeansConfig, Symmetry};
pub use preset::Preset;
pub use report::ClusterReport;
pub use reweight::{Norm, RefRank, Reweighting};

use super::module::ByUnits;
use super::{MergeMethod, MergedModule, MethodInfo, MethodSpec, ModuleSources, ResultRank};
use crate::msu::Units;
use crate::{Error, Result};

/// The entry of the table of methods.
pub(super) static LEGO: MethodInfo = MethodInfo {
    name: "lego",
    help: "LoRA-LEGO: cluster the ranks of all adapters, one merged rank a cluster",
    loses: "to `svd` at the same rank once one global scale is tuned for each",
    rank: ResultRank::ChosenOrLargest,
    options: &[
        "preset",
        "features",
        "gauge",
        "antipodal",
        "restarts",
        "norm",
        "ref_rank",
        "no_parameter_reweighting",
        "no_output_reweighting",
    ],
    build: |spec| Ok(Box::new(Lego::of(spec)?)),
};

/// The method `lego`.
#[derive(Debug, Clone)]
pub struct Lego {
    features: Features,
    gauge: Gauge,
    symmetry: Symmetry,
    norm: Norm,
    output: Reweighting,
    ref_rank: RefRank,
    n_restarts: usize,
    init: Init,
    preset: Option<Preset>,
}

impl Default for Lego {
    /// Raw features in the gauge of the files, both reweightings, `‖·‖_∞`, mean rank, 10 restarts of k-means++.
    fn default() -> Self {
        Self {
            features: Features::default(),
            gauge: Gauge::default(),
            symmetry: Symmetry::None,
            norm: Norm::default(),
            output: Reweighting::On,
            ref_rank: RefRank::default(),
            n_restarts: 10,
            init: Init::default(),
            preset: None,
        }
    }
}

impl Lego {
    /// The method with the options of a specification.
    fn of(spec: &MethodSpec) -> Result<Self> {
        let mut lego = spec.preset.map_or_else(Self::default, Self::preset);
        match (spec.norm, spec.no_parameter_reweighting) {
            (Some(norm), true) if norm != Norm::None => {
                let found = format!("{norm:?}").to_lowercase();
                return Err(Error::setting("norm", "no norm with `no_parameter_reweighting`", found));
            }
            (_, true) => lego.norm = Norm::None,
            (norm, false) => lego.norm = norm.unwrap_or(lego.norm),
        }
        match (spec.ref_rank, spec.no_output_reweighting) {
            (Some(rank), true) => {
                return Err(Error::setting("ref_rank", "none with `no_output_reweighting`", rank));
            }
            (None, true) => lego.output = Reweighting::Off,
            (rank, false) => lego.ref_rank = rank.unwrap_or(lego.ref_rank),
        }
        if spec.restarts == Some(0) {
            return Err(Error::setting("restarts", "at least 1", 0));
        }
        lego.features = spec.features.unwrap_or(lego.features);
        lego.gauge = spec.gauge.unwrap_or(lego.gauge);
        lego.n_restarts = spec.restarts.unwrap_or(lego.n_restarts);
        lego.symmetry = if spec.antipodal { Symmetry::Antipodal } else { lego.symmetry };
        Ok(lego)
    }

    /// What is clustered.
    pub fn with_features(mut self, features: Features) -> Self {
        self.features = features;
        self
    }

    /// How the length of a unit is shared by its halves.
    pub fn with_gauge(mut self, gauge: Gauge) -> Self {
        self.gauge = gauge;
        self
    }

    /// Whether `(a, b)` and `(−a, −b)`, which are the same update, are the same point.
    pub fn with_symmetry(mut self, symmetry: Symmetry) -> Self {
        self.symmetry = symmetry;
        self
    }

    /// The norm to which parameter reweighting rescales centroids, or none.
    pub fn with_norm(mut self, norm: Norm) -> Self {
        self.norm = norm;
        self
    }

    /// Switches the factor `√(r/k)`.
    pub fn with_output_reweighting(mut self, output: Reweighting) -> Self {
        self.output = output;
        self
    }

    /// The `r` of the factor `√(r/k)`.
    pub fn with_ref_rank(mut self, ref_rank: RefRank) -> Self {
        self.ref_rank = ref_rank;
        self
    }

    /// Number of runs of k-means of which the best is kept, at least 1.
    pub fn with_n_restarts(mut self, n_restarts: usize) -> Self {
        self.n_restarts = n_restarts;
        self
    }

    /// Where the first centroids come from, in every module with more units than clusters.
    pub fn with_init(mut self, init: Init) -> Self {
        self.init = init;
        self
    }

    /// Settings of k-means for `k` clusters of points in `d` dimensions.
    fn k_means(&self, k: usize, d: usize, seed: u64) -> GramKMeansConfig {
        let config = KMeansConfig::new(k)
            .with_seed(seed)
            .with_n_restarts(self.n_restarts)
            .with_init(self.init.clone());
        let (config, empty_clusters) = match self.preset {
            None => (config, EmptyClusters::Reseed),
            // scikit-learn's tolerance is relative to the mean variance of a column.
            Some(Preset::Smoea) => {
                (config.with_tolerance((1e-4 / d.max(1) as f64).sqrt()), EmptyClusters::Reseed)
            }
            // Ten assignments, a mean after each but the last.
            Some(Preset::Nsc) => (config.with_tolerance(0.0).with_max_iters(9), EmptyClusters::Keep),
        };
        config.in_gram_space().with_symmetry(self.symmetry).with_empty_clusters(empty_clusters)
    }

    /// The units that are averaged.
    ///
    /// # Errors
    /// Those of [`Units::new`].
    fn units<'a>(&self, module: &'a ModuleSources<'_>) -> grouping_core::Result<Units<'a>> {
        let scale = |factors: f64| if self.preset == Some(Preset::Nsc) { 1.0 } else { factors };
        let sources = module.sources.iter().map(|(f, weight)| (f, weight * scale(f.scale)));
        let units = Units::with_grams(sources, module.grams()?)?;
        match self.gauge {
            Gauge::Raw => Ok(units),
            Gauge::Balanced => units.balanced(),
        }
    }

    /// Merged factors of the clusters; those that stayed empty are zero.
    ///
    /// # Errors
    /// None for units and clusters of one module.
    fn reconstruct(
        &self,
        units: &Units<'_>,
        clusters: &[Vec<usize>],
        module: &ModuleSources<'_>,
    ) -> grouping_core::Result<MergedModule> {
        let k = module.rank;
        let gain = match self.output {
            Reweighting::On => (self.ref_rank.of(module) / k as f64).sqrt(),
            Reweighting::Off => 1.0,
        };
        let mut combinations = units.means(clusters, k);
        let mut means = units.combined(&combinations)?;
        let mut factors = self.norm.factors(units, clusters, &means);
        factors.resize(k, 1.0);
        let [to_a, to_b] = &mut combinations;
        let scaled = |v: f32, factor: f64| (factor * f64::from(v)) as f32;
        let (a, b) = &mut means;
        let d_in = a.n_cols().max(1);
        for (j, (row, &factor)) in a.values_mut().chunks_exact_mut(d_in).zip(&factors).enumerate() {
            row.iter_mut().for_each(|v| *v = scaled(*v, factor));
            to_a.row_mut(j).iter_mut().for_each(|v| *v *= factor);
            to_b.col_mut(j).iter_mut().for_each(|v| *v *= gain * factor);
        }
        for row in b.values_mut().chunks_exact_mut(k) {
            row.iter_mut().zip(&factors).for_each(|(v, factor)| *v = scaled(*v, gain * factor));
        }
        let (a, b) = means;
        let mut merged = MergedModule::new(a, b);
        merged.by_units = Some(ByUnits::Combined(combinations));
        Ok(merged)
    }
}

impl MergeMethod for Lego {
    fn info(&self) -> &'static MethodInfo {
        &LEGO
    }

    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule> {
        let units = self.units(module)?;
        let grouping = self.group(&units, module.rank, module.shape().iter().sum(), module.seed)?;
        let units = units.flipped(&grouping.flipped)?;
        let clusters = grouping.clusters();
        let mut merged = self.reconstruct(&units, &clusters, module)?;
        merged.clusters = Some(ClusterReport::new(&units, &grouping));
        Ok(merged)
    }
}
