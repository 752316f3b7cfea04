//! The best approximation of the weighted sum at a given rank (PEFT's `svd`).
//!
//! `Σ wᵢ·sᵢ·Bᵢ·Aᵢ = U·Σ·Vᵀ`, `B' = U_k·Σ_k`, `A' = V_kᵀ`. Factored: Gram matrices of both stacks and an SVD of the `n × n`
//! core, `O((d_in + d_out)·n²)`, where PEFT forms the `d_out × d_in` sum. It loses where the sum itself interferes: truncation
//! keeps what is large, not what a task needs.

use super::{MergeMethod, MergedModule, MethodInfo, ModuleSources, ResultRank};

/// The entry of the table of methods.
pub(super) static SVD: MethodInfo = MethodInfo {
    name: "svd",
    help: "The best approximation of the weighted sum at a rank",
    loses: "where what is large is not what a task needs",
    rank: ResultRank::ChosenOrLargest,
    options: &[],
    build: |_| Ok(Box::new(Svd)),
};

/// The method `svd`.
#[derive(Debug, Clone, Copy)]
pub struct Svd;

impl MergeMethod for Svd {
    fn info(&self) -> &'static MethodInfo {
        &SVD
    }

    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule> {
        let svd = module.svd()?;
        Ok(MergedModule::new(svd.right(module.rank)?, svd.left_scaled(module.rank)?))
    }
}
