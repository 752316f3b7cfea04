//! Linear combination of the factors apart (PEFT's `linear`).
//!
//! `A' = Σ sgn(wᵢ·sᵢ)·√|wᵢ·sᵢ|·Aᵢ`, `B' = Σ √|wᵢ·sᵢ|·Bᵢ`, rank of the largest source. Weights `1/N²` give the average of
//! `A` and of `B`. Cost: one pass. The product holds all cross terms `Bᵢ·Aⱼ`: it loses to `cat` unless the adapters
//! share their initialisation, so that equal ranks mean equal units.
//!
//! Deviation: PEFT refuses unequal ranks; here the smaller factors are padded with zeros.

use grouping_core::matrix::Matrix;

use super::{MergeMethod, MergedModule, ModuleSources};

/// The method `linear`.
#[derive(Debug, Clone, Copy)]
pub struct Linear;

impl MergeMethod for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn rank(&self, source_ranks: &[usize], _: usize) -> usize {
        source_ranks.iter().copied().max().unwrap_or(0)
    }

    fn takes_rank(&self) -> bool {
        false
    }

    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule> {
        let [n_outputs, n_inputs] = module.weighted_sum()?.shape();
        let mut a = vec![0f64; module.rank * n_inputs];
        let mut b = vec![0f64; n_outputs * module.rank];
        for (factors, weight) in &module.sources {
            let scale = weight * factors.scale;
            let root = scale.abs().sqrt();
            for (sum, &v) in a.iter_mut().zip(factors.a.values()) {
                *sum += root.copysign(scale) * f64::from(v);
            }
            for (i, sums) in b.chunks_exact_mut(module.rank).enumerate() {
                for (sum, &v) in sums.iter_mut().zip(factors.b.view().row(i)) {
                    *sum += root * f64::from(v);
                }
            }
        }
        let narrow = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect();
        Ok(MergedModule {
            a: Matrix::new(module.rank, n_inputs, narrow(a))?,
            b: Matrix::new(n_outputs, module.rank, narrow(b))?,
            clusters: None,
        })
    }
}
