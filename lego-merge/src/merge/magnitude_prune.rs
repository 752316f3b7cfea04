//! The largest values of each factor, added (PEFT's `magnitude_prune`).
//!
//! Each factor keeps its largest values (`density`), then as `linear`. Rank of the largest source. Cost: a selection and
//! one pass. It loses to `linear` in most of what it drops: values of a factor are not more or less useful by size.

use super::halves::merge_halves;
use super::sparsify::keep_largest;
use super::{Density, MergeMethod, MergedModule, MethodInfo, ModuleSources, ResultRank};

/// The entry of the table of methods.
pub(super) static MAGNITUDE_PRUNE: MethodInfo = MethodInfo {
    name: "magnitude-prune",
    help: "Trim the factors to `density`, then as linear",
    loses: "to `linear` in what it drops",
    rank: ResultRank::LargestSource,
    options: &["density"],
    build: |spec| Ok(Box::new(MagnitudePrune::new(spec.density()?))),
};

/// The method `magnitude-prune`.
#[derive(Debug, Clone, Copy)]
pub struct MagnitudePrune {
    density: Density,
}

impl MagnitudePrune {
    /// Keeps the share `density` of each factor's values.
    pub fn new(density: Density) -> Self {
        Self { density }
    }
}

impl MergeMethod for MagnitudePrune {
    fn info(&self) -> &'static MethodInfo {
        &MAGNITUDE_PRUNE
    }

    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule> {
        merge_halves(module, |mut half| {
            half.change_each(|values, _| keep_largest(values, self.density));
            Ok(half.weighted_sum())
        })
    }
}
