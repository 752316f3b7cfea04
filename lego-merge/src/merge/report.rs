//! What happened in a merge, module by module.

use serde::Serialize;

use super::agreement::agreement;
use super::module::ByUnits;
use super::{Agreement, ClusterReport, MergedModule, ModuleSources};

/// What happened in one module.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ModuleReport {
    /// Full name.
    pub module: String,
    /// Rank of the result.
    pub rank: usize,
    /// Ranks of the sources.
    pub source_ranks: Vec<usize>,
    /// `‖Σ wᵢ·sᵢ·Bᵢ·Aᵢ‖_F`.
    pub sum_norm: f64,
    /// `‖B·A − Σ wᵢ·sᵢ·Bᵢ·Aᵢ‖_F`, good to about 1e-8 of `sum_norm`.
    pub distance: f64,
    /// `‖B·A‖_F`.
    pub norm: f64,
    /// How much of each source the result keeps, in the order of `source_ranks`.
    pub agreement: Vec<Agreement>,
    /// How the units were grouped, for methods that group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clusters: Option<ClusterReport>,
    /// `‖B·A − T‖_F / ‖T‖_F`, for methods that truncate a target `T` of higher rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residual: Option<f64>,
}

/// What happened in a merge.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct MergeReport {
    /// Name of the method.
    pub method: String,
    /// One weight an adapter.
    pub weights: Vec<f64>,
    /// The factor on the whole result.
    pub lambda: f64,
    /// Every module, by name.
    pub modules: Vec<ModuleReport>,
    /// Heads that were carried.
    pub heads: Vec<String>,
    /// Heads that were averaged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub averaged_heads: Vec<String>,
    /// Heads that were left out, for the adapters differ in them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dropped_heads: Vec<String>,
}

impl MergeReport {
    /// Distance to the weighted sum over all modules, relative to the sum's norm.
    pub fn relative_distance(&self) -> f64 {
        let square =
            |value: fn(&ModuleReport) -> f64| self.modules.iter().map(|m| value(m).powi(2)).sum::<f64>();
        let (distance, norm) = (square(|m| m.distance).sqrt(), square(|m| m.sum_norm).sqrt());
        if distance == 0.0 { 0.0 } else { distance / norm }
    }

    /// Number of clusters over all modules, and of those with units of several adapters.
    pub fn clusters(&self) -> (usize, usize) {
        let all = self.modules.iter().filter_map(|m| m.clusters.as_ref());
        all.fold((0, 0), |(n, shared), c| (n + c.sizes.len(), shared + c.n_shared))
    }

    /// How much of each adapter the whole result keeps: its modules taken as one vector.
    pub fn agreement(&self) -> Vec<Agreement> {
        let norm = self.modules.iter().map(|m| m.norm.powi(2)).sum::<f64>().sqrt();
        let of = |adapter: usize| {
            let (mut squared, mut along, mut retained) = (0.0, 0.0, 0.0);
            for module in &self.modules {
                for part in module.agreement.iter().filter(|part| part.adapter == adapter) {
                    squared += part.norm.powi(2);
                    along += part.cosine * part.norm * module.norm;
                    retained += part.retained_energy * part.norm.powi(2);
                }
            }
            let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
            Agreement {
                adapter,
                norm: squared.sqrt(),
                cosine: share(along, norm * squared.sqrt()),
                retained_energy: share(retained, squared),
            }
        };
        (0..self.weights.len()).map(of).collect()
    }
}

pub(super) fn report(
    module: &ModuleSources<'_>,
    merged: &MergedModule,
) -> grouping_core::Result<ModuleReport> {
    let sum = module.weighted_sum()?;
    let grams = module.grams()?;
    let sum_norm = sum.frobenius_norm_from(grams);
    let all = match &merged.by_units {
        Some(ByUnits::Scaled(scales)) => grams.with_scaled_units(scales)?,
        Some(ByUnits::Combined([a, b])) => grams.with_combinations(a.as_ref(), b.as_ref())?,
        None => sum.grams_with(grams, merged.b.view(), merged.a.view())?,
    };
    let distance = sum.plus(-1.0, merged.b.view(), merged.a.view())?.frobenius_norm_from(&all);
    let places = module.members.iter().zip(&module.sources).map(|(&i, (f, _))| (i, f.a.n_rows(), f.scale));
    let (norm, agreement) = agreement(&all.right, &all.left, places)?;
    Ok(ModuleReport {
        module: module.name.into(),
        rank: module.rank,
        source_ranks: module.sources.iter().map(|(f, _)| f.a.n_rows()).collect(),
        sum_norm,
        distance,
        norm,
        agreement,
        clusters: merged.clusters.clone(),
        residual: merged.residual,
    })
}
