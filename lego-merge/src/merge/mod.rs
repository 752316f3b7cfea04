//! Merging adapters into one: modules side by side, one method for all of them.
//!
//! Every method gives factors of scale 1 in `f32`, for each module that at least one adapter has.

mod cat;
mod dare;
mod election;
mod halves;
mod lego;
mod linear;
mod magnitude_prune;
mod plan;
mod sparsify;
mod svd;
mod task_arithmetic;
mod ties;

use std::path::Path;

use grouping_core::low_rank::LowRankSum;
use grouping_core::matrix::Matrix;
use rayon::prelude::*;
use serde::Serialize;

pub use cat::Cat;
pub use dare::Dare;
pub use election::MajoritySign;
pub use lego::{ClusterReport, Lego, Reweighting};
pub(crate) use lego::{cluster_report, clusters, group};
pub use linear::{Average, Linear};
pub use magnitude_prune::MagnitudePrune;
pub use plan::{Plan, PlannedModule};
pub use sparsify::Density;
pub use svd::Svd;
pub use task_arithmetic::TaskArithmetic;
pub use ties::Ties;

use crate::adapter::{Adapter, Factors, FolderWriter, PREFIX};
use crate::{Error, Result};

/// A way to merge the sources of one module into factors of a given rank. One file a method.
pub trait MergeMethod: Send + Sync {
    /// Name on the command line.
    fn name(&self) -> &'static str;

    /// Rank of the result in one module.
    fn rank(&self, choice: &RankChoice<'_>) -> usize;

    /// Whether the user may choose the rank.
    fn takes_rank(&self) -> bool;

    /// Merges one module into factors of rank `module.rank`.
    ///
    /// # Errors
    /// Those of the numeric routines, for factors that are not finite.
    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule>;
}

/// What a method chooses a module's rank from.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RankChoice<'a> {
    /// Ranks of the module's sources.
    pub source_ranks: &'a [usize],
    /// The user's rank, if any.
    pub wanted: Option<usize>,
    /// The largest rank that any source has in any module.
    pub largest: usize,
}

impl RankChoice<'_> {
    /// The rank of the module's largest source.
    pub fn of_largest_source(&self) -> usize {
        self.source_ranks.iter().copied().max().unwrap_or(0)
    }

    /// The number of the module's units, `Σ rᵢ`.
    pub fn of_all_units(&self) -> usize {
        self.source_ranks.iter().sum()
    }

    /// The user's rank, else the largest source's, as far as there are units.
    pub fn wanted_or_largest(&self) -> usize {
        self.wanted.unwrap_or(self.largest).min(self.of_all_units())
    }
}

/// The sources of one module.
#[derive(Debug)]
#[non_exhaustive]
pub struct ModuleSources<'a> {
    /// Full name of the module.
    pub name: &'a str,
    /// Rank of the result.
    pub rank: usize,
    /// Factors and weight of each adapter that has the module.
    pub sources: Vec<(Factors, f64)>,
    /// Seed for random choices in this module.
    pub seed: u64,
}

impl ModuleSources<'_> {
    /// `Σ wᵢ·sᵢ·Bᵢ·Aᵢ`, not formed.
    ///
    /// # Errors
    /// [`grouping_core::Error::Shape`] when the factors do not fit each other.
    pub fn weighted_sum(&self) -> grouping_core::Result<LowRankSum<'_>> {
        let (n_outputs, n_inputs) =
            self.sources.first().map_or((0, 0), |(f, _)| (f.b.n_rows(), f.a.n_cols()));
        self.sources.iter().try_fold(LowRankSum::new(n_outputs, n_inputs), |sum, (f, weight)| {
            sum.plus(weight * f.scale, f.b.view(), f.a.view())
        })
    }
}

/// Merged factors of one module, of scale 1.
#[derive(Debug, Clone)]
pub struct MergedModule {
    /// `A [k, d_in]`.
    pub a: Matrix,
    /// `B [d_out, k]`.
    pub b: Matrix,
    /// How the units were grouped, for methods that group.
    pub clusters: Option<ClusterReport>,
}

/// What to merge with: the method, one weight an adapter, the rank, a factor on the result and the seed.
pub struct MergeConfig {
    method: Box<dyn MergeMethod>,
    weights: Option<Vec<f64>>,
    rank: Option<usize>,
    lambda: f64,
    seed: u64,
}

impl MergeConfig {
    /// Weights 1, the method's own rank, λ = 1, seed 0.
    pub fn new(method: impl MergeMethod + 'static) -> Self {
        Self { method: Box::new(method), weights: None, rank: None, lambda: 1.0, seed: 0 }
    }

    /// One weight an adapter; weights may be negative.
    pub fn with_weights(mut self, weights: impl Into<Vec<f64>>) -> Self {
        self.weights = Some(weights.into());
        self
    }

    /// Rank of the result, for methods that choose it.
    pub fn with_rank(mut self, rank: usize) -> Self {
        self.rank = Some(rank);
        self
    }

    /// A factor on the whole result, λ.
    pub fn with_lambda(mut self, lambda: f64) -> Self {
        self.lambda = lambda;
        self
    }

    /// Seed of every random choice.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// What happened in one module.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ModuleReport {
    /// Full name.
    pub module: String,
    /// Rank of the result.
    pub rank: usize,
    /// Ranks of the sources.
    pub source_ranks: Vec<usize>,
    /// `‖Σ wᵢ·sᵢ·Bᵢ·Aᵢ‖_F`.
    pub sum_norm: f64,
    /// `‖B·A − Σ wᵢ·sᵢ·Bᵢ·Aᵢ‖_F`, good to about 1e-8 of `sum_norm`.
    pub distance: f64,
    /// How the units were grouped, for methods that group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clusters: Option<ClusterReport>,
}

/// What happened in a merge.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct MergeReport {
    /// Name of the method.
    pub method: String,
    /// One weight an adapter.
    pub weights: Vec<f64>,
    /// The factor on the whole result.
    pub lambda: f64,
    /// Every module, by name.
    pub modules: Vec<ModuleReport>,
    /// Heads that were carried.
    pub heads: Vec<String>,
}

impl MergeReport {
    /// Distance to the weighted sum over all modules, relative to the sum's norm.
    pub fn relative_distance(&self) -> f64 {
        let square =
            |value: fn(&ModuleReport) -> f64| self.modules.iter().map(|m| value(m).powi(2)).sum::<f64>();
        let (distance, norm) = (square(|m| m.distance).sqrt(), square(|m| m.sum_norm).sqrt());
        if distance == 0.0 { 0.0 } else { distance / norm }
    }
}

/// Merges adapters in memory. `on_module` is called after each module, from any thread.
///
/// # Errors
/// [`Error::Conflict`] for adapters that do not fit each other, [`Error::Option`] for weights or a rank that do not fit.
///
/// ```
/// use grouping_core::matrix::Matrix;
/// use lego_merge::adapter::{Adapter, AdapterConfig};
/// use lego_merge::merge::{Cat, MergeConfig, merge};
///
/// let adapter = |label, value| {
///     let (a, b) = (Matrix::from_fn(2, 3, |_, _| value), Matrix::from_fn(4, 2, |_, _| value));
///     Adapter::from_factors(label, AdapterConfig::new(2), [("layer.q".to_string(), a, b)])
/// };
/// let adapters = [adapter("x", 1.0)?, adapter("y", 2.0)?];
/// let (merged, report) = merge(&adapters, &MergeConfig::new(Cat).with_weights([1.0, -0.5]), |_| ())?;
/// assert_eq!(merged.modules()[0].rank, 4);
/// assert!(report.relative_distance() < 1e-6);
/// # Ok::<(), lego_merge::Error>(())
/// ```
pub fn merge(
    adapters: &[Adapter],
    config: &MergeConfig,
    on_module: impl Fn(&ModuleReport) + Sync,
) -> Result<(Adapter, MergeReport)> {
    let plan = Plan::new(adapters, config)?;
    let parts = run(adapters, config, &plan, |_, merged, report| {
        on_module(report);
        Ok(merged)
    })?;
    let (modules, merged): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let names = plan.modules().iter().map(|m| m.name.clone());
    let factors = names.zip(merged).map(|(name, m)| (name, m.a, m.b));
    let heads = plan.heads().iter().map(|(name, owner)| Ok((name.clone(), adapters[*owner].head(name)?)));
    let heads = heads.collect::<Result<Vec<_>>>()?;
    let adapter = Adapter::from_parts("merged", plan.config().clone(), factors, heads)?;
    Ok((adapter, plan.report(config, modules)))
}

/// Merges adapters into a PEFT folder, module by module: memory holds one module a thread.
///
/// # Errors
/// Those of [`merge`], and those of [`FolderWriter`].
pub fn merge_to_folder(
    adapters: &[Adapter],
    config: &MergeConfig,
    folder: &Path,
    force: bool,
    on_module: impl Fn(&ModuleReport) + Sync,
) -> Result<MergeReport> {
    let plan = Plan::new(adapters, config)?;
    let writer = FolderWriter::create(folder, &plan.shapes(adapters), force)?;
    let parts = run(adapters, config, &plan, |part, merged, report| {
        writer.write(&format!("{PREFIX}{}.lora_A.weight", part.name), merged.a.values())?;
        writer.write(&format!("{PREFIX}{}.lora_B.weight", part.name), merged.b.values())?;
        on_module(report);
        Ok(())
    })?;
    for (name, owner) in plan.heads() {
        writer.write(&format!("{PREFIX}{name}"), &adapters[*owner].head(name)?.values)?;
    }
    writer.finish(plan.config())?;
    Ok(plan.report(config, parts.into_iter().map(|(report, ())| report).collect()))
}

/// Runs the method over all modules in parallel; results in the plan's order.
fn run<T: Send>(
    adapters: &[Adapter],
    config: &MergeConfig,
    plan: &Plan,
    each: impl Fn(&PlannedModule, MergedModule, &ModuleReport) -> Result<T> + Sync,
) -> Result<Vec<(ModuleReport, T)>> {
    plan.modules()
        .par_iter()
        .map(|part| {
            let sources =
                part.members.iter().map(|&i| Ok((adapters[i].factors(&part.name)?, plan.weights()[i])));
            let sources = sources.collect::<Result<Vec<_>>>()?;
            let seed = module_seed(config.seed, &part.name);
            let module = ModuleSources { name: &part.name, rank: part.rank, sources, seed };
            let mut merged = config.method.merge(&module).map_err(Error::numeric(&part.name))?;
            if config.lambda != 1.0 {
                let scaled = |v: &mut f32| *v = (config.lambda * f64::from(*v)) as f32;
                merged.b.values_mut().iter_mut().for_each(scaled);
            }
            let report = report(&module, &merged).map_err(Error::numeric(&part.name))?;
            let kept = each(part, merged, &report)?;
            Ok((report, kept))
        })
        .collect()
}

fn report(module: &ModuleSources<'_>, merged: &MergedModule) -> grouping_core::Result<ModuleReport> {
    let sum = module.weighted_sum()?;
    let sum_norm = sum.frobenius_norm()?;
    let distance = sum.plus(-1.0, merged.b.view(), merged.a.view())?.frobenius_norm()?;
    Ok(ModuleReport {
        module: module.name.into(),
        rank: module.rank,
        source_ranks: module.sources.iter().map(|(f, _)| f.a.n_rows()).collect(),
        sum_norm,
        distance,
        clusters: merged.clusters.clone(),
    })
}

/// A seed for one module: FNV-1a of its name, so that it does not depend on what else is merged.
fn module_seed(seed: u64, module: &str) -> u64 {
    module
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325 ^ seed, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}
