//! Linear combination of the factors apart (PEFT's `linear`), and their average (a baseline of LoRA-LEGO).
//!
//! `linear`: `A' = Σ sgn(wᵢ·sᵢ)·√|wᵢ·sᵢ|·Aᵢ`, `B' = Σ √|wᵢ·sᵢ|·Bᵢ`; `average`: the same, each half divided by the number of
//! the module's sources. Rank of the largest source. Cost: one pass. The product holds all cross terms `Bᵢ·Aⱼ`: both lose
//! to `cat` unless the adapters share their initialisation, so that equal ranks mean equal units.

use super::halves::merge_halves;
use super::{MergeMethod, MergedModule, MethodInfo, ModuleSources, ResultRank};

/// The entry of the table of methods.
pub(super) static LINEAR: MethodInfo = MethodInfo {
    name: "linear",
    help: "Add the factors A and B apart (holds cross terms)",
    loses: "to `cat`, unless all adapters began from the same A",
    rank: ResultRank::LargestSource,
    options: &[],
    build: |_| Ok(Box::new(Linear)),
};

/// The entry of the table of methods.
pub(super) static AVERAGE: MethodInfo = MethodInfo {
    name: "average",
    help: "The mean of the factors A and of the factors B",
    loses: "wherever `linear` does, and it shrinks the update",
    rank: ResultRank::LargestSource,
    options: &[],
    build: |_| Ok(Box::new(Average)),
};

/// The method `linear`.
#[derive(Debug, Clone, Copy)]
pub struct Linear;

/// The method `average`.
#[derive(Debug, Clone, Copy)]
pub struct Average;

impl MergeMethod for Linear {
    fn info(&self) -> &'static MethodInfo {
        &LINEAR
    }

    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule> {
        merge_halves(module, |half| Ok(half.weighted_sum()))
    }
}

impl MergeMethod for Average {
    fn info(&self) -> &'static MethodInfo {
        &AVERAGE
    }

    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule> {
        let n_sources = module.sources.len() as f64;
        merge_halves(module, |mut half| {
            half.weights.iter_mut().for_each(|w| *w /= n_sources);
            Ok(half.weighted_sum())
        })
    }
}
