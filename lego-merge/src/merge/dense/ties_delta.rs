//! TIES (arXiv 2306.01708) as in its paper, on whole adapters, then the best approximation at a rank.
//!
//! The task vector of adapter `i` is all its updates together, `τᵢ = wᵢ·{sᵢ·Bᵢ·Aᵢ}` over its modules. Its `⌊density·n⌋`
//! largest values are kept, with those that equal the least of them; `γ = sgn(Σ τ̂ᵢ)`; the values of sign `γ` are averaged;
//! λ is that of the merge. Where PEFT's `ties_svd` trims every module alike, here modules with larger updates keep more; and
//! weights vote. Cost: as `ties-svd`.
//! It loses where an adapter's modules differ in the size of their updates but not in their use.

use super::keep::Keep;
use super::target::{Combine, PrunedSource, Target};
use super::{approximate, trim};
use crate::Result;
use crate::merge::{
    AllSources, Density, MajoritySign, MergeMethod, MergedModule, MethodInfo, ModuleSources, ResultRank,
};

/// The entry of the table of methods.
pub(in crate::merge) static TIES_DELTA: MethodInfo = MethodInfo {
    name: "ties-delta",
    help: "TIES as in its paper: trims each adapter as a whole, weights vote; approximated at `rank`",
    loses: "where an adapter's modules differ in the size of their updates, not in their use",
    rank: ResultRank::ChosenOrLargest,
    options: &["density", "majority_sign"],
    build: |spec| Ok(Box::new(TiesDelta::new(spec.density()?).with_majority_sign(spec.majority_sign()))),
};

/// The method `ties-delta`.
#[derive(Debug, Clone)]
pub struct TiesDelta {
    density: Density,
    majority: MajoritySign,
    /// One an adapter, once all were looked at.
    kept: Option<Vec<Keep<'static>>>,
}

impl TiesDelta {
    /// Keeps the share `density` of each adapter's values; signs by their sum.
    pub fn new(density: Density) -> Self {
        Self { density, majority: MajoritySign::default(), kept: None }
    }

    /// How a sign is elected.
    pub fn with_majority_sign(mut self, majority: MajoritySign) -> Self {
        self.majority = majority;
        self
    }
}

impl MergeMethod for TiesDelta {
    fn info(&self) -> &'static MethodInfo {
        &TIES_DELTA
    }

    fn prepare(&self, sources: &AllSources<'_>) -> Result<Option<Box<dyn MergeMethod>>> {
        let kept = if self.density.get() < 1.0 {
            trim::largest_of_adapters(sources, self.density)?
        } else {
            vec![Keep::All; sources.n_adapters()]
        };
        Ok(Some(Box::new(Self { kept: Some(kept), ..self.clone() })))
    }

    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule> {
        module.weighted_sum()?;
        let kept = self.kept.as_ref().ok_or_else(|| grouping_core::Error::Setting {
            name: "ties-delta".into(),
            expected: "prepare() before merge()".into(),
            found: "none".into(),
        })?;
        let parts = module.sources.iter().zip(module.members).map(|((factors, weight), &i)| PrunedSource {
            factors,
            keep: kept[i],
            weight_before: *weight as f32,
            weight_after: 1.0,
        });
        approximate(module, &Target { parts: parts.collect(), combine: Combine::Elect(self.majority) })
    }
}
