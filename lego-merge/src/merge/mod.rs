//! Merging adapters into one: modules side by side, one method for all of them.
//!
//! Every method gives factors of scale 1 in `f32`, for each module that at least one adapter has.

mod agreement;
mod all_sources;
mod bias;
mod cat;
mod config;
mod core_space;
mod dare;
mod dense;
mod election;
mod entrywise;
mod fit;
mod halves;
mod heads;
mod in_span;
mod inner;
mod knots;
mod lego;
mod linear;
mod magnitude_prune;
mod masks;
mod methods;
mod module;
mod plan;
mod prune;
mod rank;
mod report;
mod sparsify;
mod spec;
mod svd;
mod task_arithmetic;
mod ties;
mod tsv;

use std::fmt::Debug;

use rayon::prelude::*;

pub use agreement::Agreement;
pub use all_sources::AllSources;
pub(crate) use bias::merged_bias;
pub use cat::Cat;
pub use config::MergeConfig;
pub use core_space::CoreSpace;
pub use dare::Dare;
pub(crate) use dense::update;
pub use dense::{DenseSvd, TiesDelta};
pub use election::MajoritySign;
pub use entrywise::Entrywise;
pub use fit::BaseMismatch;
pub use heads::SavedModules;
pub use inner::Inner;
pub use knots::Knots;
pub use lego::{ClusterReport, Features, Gauge, Lego, Norm, Preset, RefRank, Reweighting};
pub use linear::{Average, Linear};
pub use magnitude_prune::MagnitudePrune;
pub use masks::Masks;
#[cfg(feature = "cli")]
pub use methods::flags;
pub use methods::{METHODS, MethodInfo, MethodName, ResultRank};
pub use module::{MergedModule, ModuleSources};
pub use plan::{Plan, PlannedModule};
pub use prune::{PruneMethod, PruneSpec};
pub use rank::RankRule;
pub use report::{MergeReport, ModuleReport};
pub use sparsify::Density;
pub use spec::MethodSpec;
pub use svd::Svd;
pub use task_arithmetic::TaskArithmetic;
pub use ties::Ties;
pub use tsv::Tsv;

use crate::adapter::{Adapter, AdapterWriter, ModuleTensors, Outline, Output, Part};
use crate::{Error, Result};
use report::report;

/// A way to merge the sources of one module into factors of a given rank. One file a method.
///
/// The methods are those of [`METHODS`]: a [`MethodInfo`] is made in this crate only. A type of another crate can wrap one of them, to
/// change its sources or results, and is reported under its name.
pub trait MergeMethod: Debug + Send + Sync {
    /// What the method says of itself.
    fn info(&self) -> &'static MethodInfo;

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
/// [`Error::Conflict`] for adapters that do not fit each other, [`grouping_core::Error::Setting`] for weights or a rank that do not fit.
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
    let parts = visit(&plan, |part, merged, report| {
        on_module(report);
        let bias = merged_bias(&plan, part)?;
        let (name, kind) = (part.name.clone(), part.kind.clone());
        Ok(ModuleTensors { name, kind, a: merged.a, b: merged.b, bias })
    })?;
    let (reports, modules): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let heads = plan.heads().iter().map(|(name, _)| Ok((name.clone(), plan.head(name)?)));
    let heads = heads.collect::<Result<Vec<_>>>()?;
    let adapter = Adapter::from_modules("merged", plan.config().clone(), modules, heads)?;
    Ok((adapter, plan.report(reports)))
}

/// Merges as planned into a folder or file, module by module: memory holds one module a thread. `on_module` is called after
/// each module, from any thread.
///
/// # Errors
/// [`Error::Core`] for an output that is there or cannot be written, or whose format has no place for something, and
/// [`Error::Numeric`] for factors that are not finite.
///
/// ```
/// use grouping_core::matrix::Matrix;
/// use lego_merge::adapter::{Adapter, AdapterConfig, Output};
/// use lego_merge::merge::{MergeConfig, Plan, Svd, merge_to};
///
/// let folder = tempfile::tempdir().expect("a folder");
/// let factors = [(2, 3), (4, 2)].map(|(rows, columns)| Matrix::from_fn(rows, columns, |i, j| (i + j) as f32));
/// let [a, b] = factors;
/// let adapter = Adapter::from_factors("x", AdapterConfig::new(2), [("layer.q".to_string(), a, b)])?;
/// let (adapters, config) = ([adapter.clone(), adapter], MergeConfig::new(Svd).with_rank(2));
/// let plan = Plan::new(&adapters, &config)?;
/// assert_eq!(plan.modules()[0].members, [0, 1]);
/// merge_to(&plan, &Output::new(folder.path().join("merged")), |report| assert_eq!(report.rank, 2))?;
/// assert_eq!(Adapter::read(folder.path().join("merged"))?.modules()[0].rank, 2);
/// # Ok::<(), lego_merge::Error>(())
/// ```
pub fn merge_to(
    plan: &Plan<'_>,
    output: &Output,
    on_module: impl Fn(&ModuleReport) + Sync,
) -> Result<MergeReport> {
    let adapters = plan.adapters();
    let writer = AdapterWriter::create(
        output,
        &Outline {
            first: &adapters[0],
            modules: plan.outline(),
            heads: plan.head_shapes(),
            config: plan.config().clone(),
            is_pipeline: adapters.iter().any(Adapter::is_pipeline),
            part_type: &|module, part| output.dtype().of(adapters.iter().map(|a| a.part_type(module, part))),
            head_type: &|name| output.dtype().of(adapters.iter().map(|a| a.head_type(name))),
        },
    )?;
    let parts = visit(plan, |part, merged, report| {
        writer.part(&part.name, Part::A, merged.a.values())?;
        writer.part(&part.name, Part::B, merged.b.values())?;
        if let Some(bias) = merged_bias(plan, part)? {
            writer.part(&part.name, Part::Bias, &bias)?;
        }
        on_module(report);
        Ok(())
    })?;
    for (name, _) in plan.heads() {
        writer.head(name, &plan.head(name)?.values)?;
    }
    writer.finish()?;
    Ok(plan.report(parts.into_iter().map(|(report, ())| report).collect()))
}

/// Runs the method over all modules in parallel; results in the plan's order.
pub(crate) fn visit<T: Send>(
    plan: &Plan<'_>,
    each: impl Fn(&PlannedModule, MergedModule, &ModuleReport) -> Result<T> + Sync,
) -> Result<Vec<(ModuleReport, T)>> {
    let rules: Vec<(&MergeConfig, AllSources<'_>)> = plan
        .merge()
        .rules()
        .enumerate()
        .map(|(i, rule)| (rule, AllSources::of_rule(plan.adapters(), plan.modules(), i, rule.seed)))
        .collect();
    let prepared = rules.iter().map(|(rule, sources)| rule.method.prepare(sources));
    let prepared = prepared.collect::<Result<Vec<_>>>()?;
    plan.modules()
        .par_iter()
        .map(|part| {
            let (rule, sources) = &rules[part.rule];
            let method = prepared[part.rule].as_ref().unwrap_or(&rule.method);
            let module = sources.read(part)?;
            let mut merged = method.merge(&module).map_err(Error::numeric(&part.name))?;
            if rule.lambda != 1.0 {
                merged.scale(rule.lambda);
            }
            let report = report(&module, &merged).map_err(Error::numeric(&part.name))?;
            let kept = each(part, merged, &report)?;
            Ok((report, kept))
        })
        .collect()
}
