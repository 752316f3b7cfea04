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

use std::path::Path;

use grouping_core::files::output::Existing;
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
pub use module::{MergedModule, ModuleSources, RankChoice};
pub use plan::{Plan, PlannedModule};
pub use prune::{PruneMethod, PruneSpec};
pub use rank::RankRule;
pub use report::{MergeReport, ModuleReport};
pub use sparsify::Density;
pub use spec::{MethodName, MethodSpec};
pub use svd::Svd;
pub use task_arithmetic::TaskArithmetic;
pub use ties::Ties;
pub use tsv::Tsv;

use crate::adapter::{Adapter, AdapterWriter, ModuleTensors, Outline, Output, Part, aligned};
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
    let adapters = &*aligned(adapters);
    let plan = Plan::new(adapters, config)?;
    let parts = visit(adapters, config, &plan, |part, merged, report| {
        on_module(report);
        let bias = merged_bias(adapters, config, part)?;
        let (name, kind) = (part.name.clone(), part.kind.clone());
        Ok(ModuleTensors { name, kind, a: merged.a, b: merged.b, bias })
    })?;
    let (reports, modules): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let heads = plan.heads().iter().map(|(name, _)| Ok((name.clone(), plan.head(adapters, name)?)));
    let heads = heads.collect::<Result<Vec<_>>>()?;
    let adapter = Adapter::from_modules("merged", plan.config().clone(), modules, heads)?;
    Ok((adapter, plan.report(config, reports)))
}

/// Merges adapters into a PEFT folder of `f32`, module by module: memory holds one module a thread.
///
/// # Errors
/// Those of [`merge_to`].
pub fn merge_to_folder(
    adapters: &[Adapter],
    config: &MergeConfig,
    folder: &Path,
    force: bool,
    on_module: impl Fn(&ModuleReport) + Sync,
) -> Result<MergeReport> {
    let output = Output::new(folder).with_existing(Existing::replaced_if(force));
    merge_to(adapters, config, &output, on_module)
}

/// Merges adapters into a folder or file, module by module: memory holds one module a thread.
///
/// # Errors
/// Those of [`merge`], [`Error::Core`] for an output that is there or cannot be written, and [`Error::Unsupported`] for what
/// its format has no place for.
pub fn merge_to(
    adapters: &[Adapter],
    config: &MergeConfig,
    output: &Output,
    on_module: impl Fn(&ModuleReport) + Sync,
) -> Result<MergeReport> {
    let adapters = &*aligned(adapters);
    let plan = Plan::new(adapters, config)?;
    let writer = AdapterWriter::create(
        output,
        &Outline {
            first: &adapters[0],
            modules: plan.outline(),
            heads: plan.head_shapes(adapters),
            config: plan.config().clone(),
            is_pipeline: adapters.iter().any(Adapter::is_pipeline),
            part_type: &|module, part| output.dtype().of(adapters.iter().map(|a| a.part_type(module, part))),
            head_type: &|name| output.dtype().of(adapters.iter().map(|a| a.head_type(name))),
        },
    )?;
    let parts = visit(adapters, config, &plan, |part, merged, report| {
        writer.part(&part.name, Part::A, merged.a.values())?;
        writer.part(&part.name, Part::B, merged.b.values())?;
        if let Some(bias) = merged_bias(adapters, config, part)? {
            writer.part(&part.name, Part::Bias, &bias)?;
        }
        on_module(report);
        Ok(())
    })?;
    for (name, _) in plan.heads() {
        writer.head(name, &plan.head(adapters, name)?.values)?;
    }
    writer.finish()?;
    Ok(plan.report(config, parts.into_iter().map(|(report, ())| report).collect()))
}

/// Runs the method over all modules in parallel; results in the plan's order.
pub(crate) fn visit<T: Send>(
    adapters: &[Adapter],
    config: &MergeConfig,
    plan: &Plan,
    each: impl Fn(&PlannedModule, MergedModule, &ModuleReport) -> Result<T> + Sync,
) -> Result<Vec<(ModuleReport, T)>> {
    let rules: Vec<(&MergeConfig, AllSources<'_>)> = config
        .rules()
        .enumerate()
        .map(|(i, rule)| (rule, AllSources::of_rule(adapters, plan.modules(), i, rule.seed)))
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
