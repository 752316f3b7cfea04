//! Task arithmetic (arXiv 2212.04089): `λ·Σ wᵢ·sᵢ·Bᵢ·Aᵢ`, exactly, or its best approximation at a rank.
//!
//! Without a rank this is `cat`, with one it is `svd`; λ is that of the merge, as with every method. Cost: that of either.
//! It loses where the sum interferes: at λ = 1 the sum of many adapters is far from each.

use super::{Cat, MergeMethod, MergedModule, MethodInfo, ModuleSources, ResultRank, Svd};

/// The entry of the table of methods.
pub(super) static TASK_ARITHMETIC: MethodInfo = MethodInfo {
    name: "task-arithmetic",
    help: "The weighted sum times `lambda`: exact, or its best approximation with `rank`",
    loses: "as `cat` and `svd`",
    rank: ResultRank::ChosenOrAllUnits,
    options: &[],
    build: |_| Ok(Box::new(TaskArithmetic)),
};

/// The method `task-arithmetic`.
#[derive(Debug, Clone, Copy)]
pub struct TaskArithmetic;

impl MergeMethod for TaskArithmetic {
    fn info(&self) -> &'static MethodInfo {
        &TASK_ARITHMETIC
    }

    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule> {
        if module.rank == module.n_units() { Cat.merge(module) } else { Svd.merge(module) }
    }
}
