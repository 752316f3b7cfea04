//! DARE (arXiv 2311.03099) on the factors, as PEFT's `dare_linear` and `dare_ties`: drop at random and rescale, then add,
//! or elect and average.
//!
//! Each value is kept with probability `density` and divided by it. Rank of the largest source. Cost: one draw a value and
//! one or two passes. It loses where few values carry much: the rescaled rest is noisier the smaller the density.
//!
//! Deviation: the draws are ours (ChaCha8, one stream a module, half and source), so that a result depends on neither
//! threads nor other modules; their distribution is PEFT's.

use super::election::disjoint_mean;
use super::halves::merge_halves;
use super::sparsify::drop_and_rescale;
use super::{Density, MajoritySign, MergeMethod, MergedModule, ModuleSources};

/// The methods `dare-linear` and `dare-ties`.
#[derive(Debug, Clone, Copy)]
pub struct Dare {
    density: Density,
    majority: Option<MajoritySign>,
}

impl Dare {
    /// `dare-linear`: what is kept is added.
    pub fn linear(density: Density) -> Self {
        Self { density, majority: None }
    }

    /// `dare-ties`: what is kept elects a sign, and the values that agree are averaged.
    pub fn ties(density: Density, majority: MajoritySign) -> Self {
        Self { density, majority: Some(majority) }
    }
}

impl MergeMethod for Dare {
    fn name(&self) -> &'static str {
        if self.majority.is_some() { "dare-ties" } else { "dare-linear" }
    }

    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule> {
        merge_halves(module, |mut half| {
            half.change_each(|values, seed| drop_and_rescale(values, self.density, seed));
            match self.majority {
                Some(majority) => disjoint_mean(&half, majority),
                None => half.weighted_sum(),
            }
        })
    }
}
