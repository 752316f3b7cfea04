//! Pruning and electing on the dense updates `sᵢ·Bᵢ·Aᵢ`, then the best approximation at a rank: PEFT's `ties_svd`,
//! `dare_linear_svd`, `dare_ties_svd` and `magnitude_prune_svd`.
//!
//! Per module, `T = Σ wᵢ·pᵢ(sᵢ·Bᵢ·Aᵢ)`, or the election's mean of them (see [`MajoritySign`]), with `pᵢ` keeping the
//! `⌊density·n⌋` largest values of each update (of equal ones the first, by rows) or a random choice, rescaled; then
//! `T ≈ U_k·Σ_k·V_kᵀ`. Signs are elected before the weights are applied, as in PEFT.
//!
//! `T` is never held: tiles of its rows are formed anew in each pass of [`truncate`], some 5 to 20 of them, and in two
//! passes before that count magnitudes. Where `T` has no gap after its k-th singular value, the residual is within 1e-5 of
//! the least one. It loses to the methods on factors in time, by orders of magnitude, and to `cat` or `svd` at density 1.
//!
//! `dare-delta`, DARE (arXiv 2311.03099) on whole adapters, drops values independently of each other and of their module:
//! it is `dare-linear-svd`, under the paper's name.
//!
//! Deviations from PEFT: of equal magnitudes PEFT keeps any, and those within rounding (1e-7) of the least that is kept may
//! fall on the other side; a single adapter is pruned too, where PEFT returns it; draws are ours (SplitMix64, one sequence
//! a module and source) unless masks are given.

mod keep;
mod target;
mod ties_delta;
mod trim;
pub(crate) mod update;

use std::sync::Arc;

use grouping_core::low_rank::truncate;
use grouping_core::seed::derive_seed;

use self::keep::Keep;
use self::target::{Combine, PrunedSource, Target};
use super::masks::{Masks, dense_mask};
use super::{
    AllSources, Density, MajoritySign, MergeMethod, MergedModule, MethodInfo, ModuleSources, ResultRank,
};
use crate::Result;

pub(super) use self::ties_delta::TIES_DELTA;
pub use self::ties_delta::TiesDelta;

/// Streams of a module's seed: 0 and 1 are those of the halves.
const OF_VALUES: u64 = 2;
const OF_APPROXIMATION: u64 = 3;

/// The entry of the table of methods.
pub(super) static TIES_SVD: MethodInfo = MethodInfo {
    name: "ties-svd",
    help: "TIES on the dense updates of each module, approximated at `rank`",
    loses: "minutes for a 7B model, and most of a flat spectrum is cut off",
    rank: ResultRank::ChosenOrLargest,
    options: &["density", "majority_sign"],
    build: |spec| Ok(Box::new(DenseSvd::ties(spec.density()?, spec.majority_sign()))),
};

/// The entry of the table of methods.
pub(super) static DARE_LINEAR_SVD: MethodInfo = MethodInfo {
    name: "dare-linear-svd",
    help: "DARE on the dense updates of each module, added and approximated at `rank`",
    loses: "what is added to rescale is noise, and no rank holds it",
    rank: ResultRank::ChosenOrLargest,
    options: &["density", "masks"],
    build: |spec| Ok(Box::new(DenseSvd::dare_linear(spec.density()?).with_masks(spec.masks()?))),
};

/// The entry of the table of methods.
pub(super) static DARE_TIES_SVD: MethodInfo = MethodInfo {
    name: "dare-ties-svd",
    help: "DARE on the dense updates, then as ties-svd",
    loses: "what is added to rescale is noise, and no rank holds it",
    rank: ResultRank::ChosenOrLargest,
    options: &["density", "majority_sign", "masks"],
    build: |spec| {
        Ok(Box::new(DenseSvd::dare_ties(spec.density()?, spec.majority_sign()).with_masks(spec.masks()?)))
    },
};

/// The entry of the table of methods.
pub(super) static MAGNITUDE_PRUNE_SVD: MethodInfo = MethodInfo {
    name: "magnitude-prune-svd",
    help: "Trim the dense updates of each module to `density`, add, approximate at `rank`",
    loses: "to `svd` in what it drops",
    rank: ResultRank::ChosenOrLargest,
    options: &["density"],
    build: |spec| Ok(Box::new(DenseSvd::magnitude_prune(spec.density()?))),
};

/// The entry of the table of methods.
pub(super) static DARE_DELTA: MethodInfo = MethodInfo {
    name: "dare-delta",
    help: "DARE as in its paper; the same as dare-linear-svd",
    loses: "as `dare-linear-svd`",
    rank: ResultRank::ChosenOrLargest,
    options: &["density", "masks"],
    build: |spec| Ok(Box::new(DenseSvd::dare_delta(spec.density()?).with_masks(spec.masks()?))),
};

/// The methods `ties-svd`, `dare-linear-svd`, `dare-ties-svd`, `magnitude-prune-svd` and `dare-delta`.
#[derive(Debug, Clone)]
pub struct DenseSvd {
    info: &'static MethodInfo,
    density: Density,
    pruning: Pruning,
    combine: Combine,
}

#[derive(Debug, Clone)]
enum Pruning {
    Largest,
    Random(Option<Arc<Masks>>),
}

impl DenseSvd {
    /// `ties-svd`: trims each update, elects signs, averages what agrees.
    pub fn ties(density: Density, majority: MajoritySign) -> Self {
        Self { info: &TIES_SVD, density, pruning: Pruning::Largest, combine: Combine::Elect(majority) }
    }

    /// `magnitude-prune-svd`: trims each update and adds.
    pub fn magnitude_prune(density: Density) -> Self {
        Self { info: &MAGNITUDE_PRUNE_SVD, density, pruning: Pruning::Largest, combine: Combine::Add }
    }

    /// `dare-linear-svd`: drops at random, rescales and adds.
    pub fn dare_linear(density: Density) -> Self {
        Self { info: &DARE_LINEAR_SVD, density, pruning: Pruning::Random(None), combine: Combine::Add }
    }

    /// `dare-ties-svd`: drops at random, rescales, elects signs, averages what agrees.
    pub fn dare_ties(density: Density, majority: MajoritySign) -> Self {
        let combine = Combine::Elect(majority);
        Self { info: &DARE_TIES_SVD, density, pruning: Pruning::Random(None), combine }
    }

    /// `dare-delta`: as `dare-linear-svd`, under the paper's name.
    pub fn dare_delta(density: Density) -> Self {
        Self { info: &DARE_DELTA, ..Self::dare_linear(density) }
    }

    /// Replays masks instead of drawing, for methods that draw.
    pub fn with_masks(mut self, masks: Option<Arc<Masks>>) -> Self {
        if let Pruning::Random(own) = &mut self.pruning {
            *own = masks;
        }
        self
    }

    fn keep<'a>(&'a self, module: &'a ModuleSources<'_>, i: usize) -> grouping_core::Result<Keep<'a>> {
        let (factors, density) = (&module.sources[i].0, self.density.get());
        Ok(match &self.pruning {
            _ if density >= 1.0 => Keep::All,
            Pruning::Largest => trim::largest_of_module(factors, self.density),
            Pruning::Random(None) => Keep::Random {
                seed: derive_seed(derive_seed(module.seed, OF_VALUES), i as u64),
                below: (density * 2f64.powi(32)) as u64,
                density: density as f32,
            },
            Pruning::Random(Some(masks)) => {
                let shape = [factors.b.n_rows(), factors.a.n_cols()];
                let mask = masks.mask(&dense_mask(module.name, module.members[i]), shape);
                Keep::Masked { mask: mask.map_err(Masks::numeric)?, density: density as f32 }
            }
        })
    }
}

impl MergeMethod for DenseSvd {
    fn info(&self) -> &'static MethodInfo {
        self.info
    }

    fn prepare(&self, sources: &AllSources<'_>) -> Result<Option<Box<dyn MergeMethod>>> {
        if let Pruning::Random(Some(masks)) = &self.pruning
            && self.density.get() < 1.0
        {
            masks.check_dense(sources)?;
        }
        Ok(None)
    }

    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule> {
        // Refuses factors that do not fit each other.
        module.weighted_sum()?;
        let parts = module.sources.iter().enumerate().map(|(i, (factors, weight))| {
            let keep = self.keep(module, i)?;
            Ok(PrunedSource { factors, keep, weight_before: 1.0, weight_after: *weight as f32 })
        });
        approximate(
            module,
            &Target { parts: parts.collect::<grouping_core::Result<_>>()?, combine: self.combine },
        )
    }
}

/// The best approximation of the merged update at the module's rank.
fn approximate(module: &ModuleSources<'_>, target: &Target<'_>) -> grouping_core::Result<MergedModule> {
    let best = truncate(target, module.rank, derive_seed(module.seed, OF_APPROXIMATION))?;
    let residual = if best.norm > 0.0 { best.residual / best.norm } else { 0.0 };
    Ok(MergedModule { residual: Some(residual), ..MergedModule::new(best.right, best.left_scaled) })
}
