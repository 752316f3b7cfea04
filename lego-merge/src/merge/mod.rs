//! Merging adapters into one: modules side by side, one method for all of them.
//!
//! Every method gives factors of scale 1 in `f32`, for each module that at least one adapter has.

mod all_sources;
mod cat;
mod config;
mod core_space;
mod dare;
mod election;
mod entrywise;
mod halves;
mod in_span;
mod inner;
mod knots;
mod kth_largest;
mod lego;
mod linear;
mod magnitude_prune;
mod module;
mod plan;
mod rank;
mod report;
mod sparsify;
mod spec;
mod svd;
mod task_arithmetic;
mod ties;
mod tsv;

use std::path::Path;

use rayon::prelude::*;

pub use all_sources::AllSources;
pub use cat::Cat;
pub use config::MergeConfig;
pub use core_space::CoreSpace;
pub use dare::Dare;
pub use election::MajoritySign;
pub use entrywise::Entrywise;
pub use inner::Inner;
pub use knots::Knots;
pub use lego::{ClusterReport, Lego, Reweighting};
pub(crate) use lego::{cluster_report, clusters, group};
pub use linear::{Average, Linear};
pub use magnitude_prune::MagnitudePrune;
pub use module::{MergedModule, ModuleSources, RankChoice};
pub use plan::{Plan, PlannedModule};
pub use rank::RankRule;
pub use report::{MergeReport, ModuleReport};
pub use sparsify::Density;
pub use spec::{MethodName, MethodSpec};
pub use svd::Svd;
pub use task_arithmetic::TaskArithmetic;
pub use ties::Ties;
pub use tsv::Tsv;

use crate::adapter::{Adapter, FolderWriter, PREFIX};
use crate::{Error, Result};
use report::report;

/// A way to merge the sources of one module into factors of a given rank. One file a method.
pub trait MergeMethod: Send + Sync {
    /// Name on the command line.
    fn name(&self) -> &'static str;

    /// Rank of the result in one module: that of its largest source unless a method says otherwise.
    fn rank(&self, choice: &RankChoice<'_>) -> usize {
        choice.of_largest_source()
    }

    /// Whether the user may choose the rank.
    fn takes_rank(&self) -> bool {
        false
    }

    /// The method, after a look at all modules of all adapters, for methods that need one (a threshold over whole
    /// adapters): `None` when it is ready as it is.
    ///
    /// # Errors
    /// Whatever reading the adapters or the method's own files may fail with.
    fn prepare(&self, _sources: &AllSources<'_>) -> Result<Option<Box<dyn MergeMethod>>> {
        Ok(None)
    }

    /// Merges one module into factors of rank `module.rank`.
    ///
    /// # Errors
    /// Those of the numeric routines, for factors that are not finite.
    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule>;
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
    let sources = AllSources { adapters, plan, seed: config.seed };
    let prepared = config.method.prepare(&sources)?;
    let method = prepared.as_ref().unwrap_or(&config.method);
    plan.modules()
        .par_iter()
        .map(|part| {
            let module = sources.read(part)?;
            let mut merged = method.merge(&module).map_err(Error::numeric(&part.name))?;
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
