//! Task arithmetic (arXiv 2212.04089): `λ·Σ wᵢ·sᵢ·Bᵢ·Aᵢ`, exactly, or its best approximation at a rank.
//!
//! Without a rank this is `cat`, with one it is `svd`; λ is that of the merge, as with every method. Cost: that of either.
//! It loses where the sum interferes: at λ = 1 the sum of many adapters is far from each.

use super::{Cat, MergeMethod, MergedModule, ModuleSources, RankChoice, Svd};

/// The method `task-arithmetic`.
#[derive(Debug, Clone, Copy)]
pub struct TaskArithmetic;

impl MergeMethod for TaskArithmetic {
    fn name(&self) -> &'static str {
        "task-arithmetic"
    }

    fn rank(&self, choice: &RankChoice<'_>) -> usize {
        choice.wanted_or_all_units()
    }

    fn takes_rank(&self) -> bool {
        true
    }

    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule> {
        if module.rank == module.n_units() { Cat.merge(module) } else { Svd.merge(module) }
    }
}
