//! DARE (arXiv 2311.03099) on the factors, as PEFT's `dare_linear` and `dare_ties`: drop at random and rescale, then add,
//! or elect and average.
//!
//! Each value is kept with probability `density` and divided by it. Rank of the largest source. Cost: one draw a value and
//! one or two passes. It loses where few values carry much: the rescaled rest is noisier the smaller the density.
//!
//! Deviation: the draws are ours (SplitMix64, one stream a module, half and source), so that a result depends on neither
//! threads nor other modules; their distribution is PEFT's. [`Masks`] replay PEFT's own.

use std::sync::Arc;

use super::election::{Tie, disjoint_mean};
use super::halves::merge_halves;
use super::sparsify::drop_and_rescale;
use super::{
    AllSources, Density, MajoritySign, Masks, MergeMethod, MergedModule, MethodInfo, ModuleSources,
    ResultRank,
};
use crate::Result;

/// The entry of the table of methods.
pub(super) static DARE_LINEAR: MethodInfo = MethodInfo {
    name: "dare-linear",
    help: "DARE on the factors: keep `density` at random and rescale, then as linear",
    loses: "the fewer values are kept, the noisier",
    rank: ResultRank::LargestSource,
    options: &["density", "masks"],
    build: |spec| Ok(Box::new(Dare::linear(spec.density()?).with_masks(spec.masks()?))),
};

/// The entry of the table of methods.
pub(super) static DARE_TIES: MethodInfo = MethodInfo {
    name: "dare-ties",
    help: "DARE on the factors: keep `density` at random and rescale, then as ties",
    loses: "the fewer values are kept, the noisier",
    rank: ResultRank::LargestSource,
    options: &["density", "majority_sign", "masks"],
    build: |spec| Ok(Box::new(Dare::ties(spec.density()?, spec.majority_sign()).with_masks(spec.masks()?))),
};

/// The methods `dare-linear` and `dare-ties`.
#[derive(Debug, Clone)]
pub struct Dare {
    density: Density,
    majority: Option<MajoritySign>,
    masks: Option<Arc<Masks>>,
}

impl Dare {
    /// `dare-linear`: what is kept is added.
    pub fn linear(density: Density) -> Self {
        Self { density, majority: None, masks: None }
    }

    /// `dare-ties`: what is kept elects a sign, and the values that agree are averaged.
    pub fn ties(density: Density, majority: MajoritySign) -> Self {
        Self { density, majority: Some(majority), masks: None }
    }

    /// Replays masks instead of drawing.
    pub fn with_masks(mut self, masks: Option<Arc<Masks>>) -> Self {
        self.masks = masks;
        self
    }
}

impl MergeMethod for Dare {
    fn info(&self) -> &'static MethodInfo {
        if self.majority.is_some() { &DARE_TIES } else { &DARE_LINEAR }
    }

    fn prepare(&self, sources: &AllSources<'_>) -> Result<Option<Box<dyn MergeMethod>>> {
        if let Some(masks) = self.masks.as_ref().filter(|_| self.density.get() < 1.0) {
            masks.check_factors(sources)?;
        }
        Ok(None)
    }

    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule> {
        merge_halves(module, |mut half| {
            match &self.masks {
                Some(masks) => masks.drop_and_rescale(&mut half, module, self.density)?,
                None => half.change_each(|values, seed| drop_and_rescale(values, self.density, seed)),
            }
            Ok(match self.majority {
                Some(majority) => disjoint_mean(&half.tensors, &half.weights, majority, Tie::Positive),
                None => half.weighted_sum(),
            })
        })
    }
}
