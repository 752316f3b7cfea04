//! The best approximation of the weighted sum at a given rank (PEFT's `svd`).
//!
//! `Σ wᵢ·sᵢ·Bᵢ·Aᵢ = U·Σ·Vᵀ`, `B' = U_k·Σ_k`, `A' = V_kᵀ`. Factored: Gram matrices of both stacks and an SVD of the `n × n`
//! core, `O((d_in + d_out)·n²)`, where PEFT forms the `d_out × d_in` sum. It loses where the sum itself interferes: truncation
//! keeps what is large, not what a task needs.

use super::{MergeMethod, MergedModule, ModuleSources, RankChoice};

/// The method `svd`.
#[derive(Debug, Clone, Copy)]
pub struct Svd;

impl MergeMethod for Svd {
    fn name(&self) -> &'static str {
        "svd"
    }

    fn rank(&self, choice: &RankChoice<'_>) -> usize {
        choice.wanted_or_largest()
    }

    fn takes_rank(&self) -> bool {
        true
    }

    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule> {
        let svd = module.svd()?;
        Ok(MergedModule::new(svd.right(module.rank)?, svd.left_scaled(module.rank)?))
    }
}
