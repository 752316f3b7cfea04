//! TIES (arXiv 2306.01708) on the factors, as PEFT's `ties`: trim, elect a sign, average those that agree.
//!
//! Each factor keeps its largest values (`density`), then `A` and `B` are merged apart by [the election](super::MajoritySign).
//! Rank of the largest source. Cost: a selection and two passes. It loses where the paper's TIES would not: a factor's
//! sign has no meaning of its own (`B·A = (−B)·(−A)`), so votes on factors are noise unless the adapters share their
//! initialisation.

use super::election::{Tie, disjoint_mean};
use super::halves::merge_halves;
use super::sparsify::keep_largest;
use super::{Density, MajoritySign, MergeMethod, MergedModule, MethodInfo, ModuleSources, ResultRank};

/// The entry of the table of methods.
pub(super) static TIES: MethodInfo = MethodInfo {
    name: "ties",
    help: "TIES on the factors: trim to `density`, elect a sign, average what agrees",
    loses: "signs of factors mean little unless all adapters began from the same A",
    rank: ResultRank::LargestSource,
    options: &["density", "majority_sign"],
    build: |spec| Ok(Box::new(Ties::new(spec.density()?).with_majority_sign(spec.majority_sign()))),
};

/// The method `ties`.
#[derive(Debug, Clone, Copy)]
pub struct Ties {
    density: Density,
    majority: MajoritySign,
}

impl Ties {
    /// Keeps the share `density` of each factor's values; signs by their sum.
    pub fn new(density: Density) -> Self {
        Self { density, majority: MajoritySign::default() }
    }

    /// How a sign is elected.
    pub fn with_majority_sign(mut self, majority: MajoritySign) -> Self {
        self.majority = majority;
        self
    }
}

impl MergeMethod for Ties {
    fn info(&self) -> &'static MethodInfo {
        &TIES
    }

    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule> {
        merge_halves(module, |mut half| {
            half.change_each(|values, _| keep_largest(values, self.density));
            Ok(disjoint_mean(&half.tensors, &half.weights, self.majority, Tie::Positive))
        })
    }
}
