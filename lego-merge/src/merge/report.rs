//! What happened in a merge, module by module.

use serde::Serialize;

use super::{ClusterReport, MergedModule, ModuleSources};

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
}

impl MergeReport {
    /// Distance to the weighted sum over all modules, relative to the sum's norm.
    pub fn relative_distance(&self) -> f64 {
        let square =
            |value: fn(&ModuleReport) -> f64| self.modules.iter().map(|m| value(m).powi(2)).sum::<f64>();
        let (distance, norm) = (square(|m| m.distance).sqrt(), square(|m| m.sum_norm).sqrt());
        if distance == 0.0 { 0.0 } else { distance / norm }
    }
}

pub(super) fn report(
    module: &ModuleSources<'_>,
    merged: &MergedModule,
) -> grouping_core::Result<ModuleReport> {
    let sum = module.weighted_sum()?;
    let grams = module.grams()?;
    let sum_norm = sum.frobenius_norm_from(grams);
    let distance = sum.distance_from(grams, merged.b.view(), merged.a.view())?;
    Ok(ModuleReport {
        module: module.name.into(),
        rank: module.rank,
        source_ranks: module.sources.iter().map(|(f, _)| f.a.n_rows()).collect(),
        sum_norm,
        distance,
        clusters: merged.clusters.clone(),
        residual: merged.residual,
    })
}
