//! Concatenation: every unit of every adapter, side by side; the exact weighted sum (PEFT's `cat`).
//!
//! `A' = [wᵢ·sᵢ·Aᵢ]` stacked, `B' = [Bᵢ]` side by side; rank `Σ rᵢ`. Cost: one copy.
//! It loses where a server bounds the rank, and wherever the plain sum interferes.
//!
//! Deviation: a module that an adapter lacks gets no zero rows as in PEFT, but the smaller rank.

use grouping_core::matrix::Matrix;

use super::module::ByUnits;
use super::{MergeMethod, MergedModule, MethodInfo, ModuleSources, ResultRank};

/// The entry of the table of methods.
pub(super) static CAT: MethodInfo = MethodInfo {
    name: "cat",
    help: "Put all ranks side by side: the exact weighted sum",
    loses: "where the rank is bounded, and wherever the plain sum interferes",
    rank: ResultRank::AllUnits,
    options: &[],
    build: |_| Ok(Box::new(Cat)),
};

/// The method `cat`.
#[derive(Debug, Clone, Copy)]
pub struct Cat;

impl MergeMethod for Cat {
    fn info(&self) -> &'static MethodInfo {
        &CAT
    }

    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule> {
        let [n_outputs, n_inputs] = module.weighted_sum()?.shape();
        let mut a = Vec::with_capacity(module.rank * n_inputs);
        for (factors, weight) in &module.sources {
            let scale = weight * factors.scale;
            a.extend(factors.a.values().iter().map(|&v| (scale * f64::from(v)) as f32));
        }
        let mut b = Vec::with_capacity(n_outputs * module.rank);
        for i in 0..n_outputs {
            module.sources.iter().for_each(|(f, _)| b.extend_from_slice(f.b.view().row(i)));
        }
        let mut merged = MergedModule::new(
            Matrix::new(module.rank, n_inputs, a)?,
            Matrix::new(n_outputs, module.rank, b)?,
        );
        let scales =
            module.sources.iter().flat_map(|(f, weight)| vec![[weight * f.scale, 1.0]; f.a.n_rows()]);
        merged.by_units = Some(ByUnits::Scaled(scales.collect()));
        Ok(merged)
    }
}
