//! Making a plan: scores, the core, the order, the slices, and what each slice sees.

use grouping_core::correlation::Correlations;

use super::config::{Grouping, PlanConfig};
use super::dependencies::{of_the_model, scheduled};
use super::file::{MAX_NAME, is_name};
use super::members::{cluster, spread};
use super::sizes::{Sizes, sizes};
use super::{MAX_SLICES, Plan, PlanReport, PlannedModel, Slicing, inverted};
use crate::channels::{
    attachments, importance_order, kernel_correlations, rank_by_score, scores, slice_channels,
};
use crate::checkpoint::Checkpoint;
use crate::{Error, Result};

/// A plan, and what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// What it means for all objectives.
    pub report: PlanReport,
}

/// Plans the channels of a model by its parameters alone.
///
/// ```
/// use iscs_lic::channels::Preset;
/// use iscs_lic::checkpoint::Checkpoint;
/// use iscs_lic::plan::{PlanConfig, plan};
///
/// let planned = plan(&Checkpoint::default_model()?, &PlanConfig::new(Preset::EntropyHead))?;
/// assert_eq!(planned.plan.slices(), [4, 4, 8, 12, 12, 12, 12]);
/// assert_eq!(planned.plan.dependencies()[6], [0, 1, 2]);
/// assert_eq!(planned.report.parallelism.critical_channels, 28);
/// # Ok::<(), iscs_lic::Error>(())
/// ```
///
/// # Errors
/// As [`scores`] and [`plan_by`].
pub fn plan(checkpoint: &Checkpoint, config: &PlanConfig) -> Result<Planned> {
    let scores = scores(checkpoint, config.preset)?;
    plan_by(checkpoint, config.preset.name(), &scores, config)
}

/// Plans the channels of a model by any scores `[M]`, which the plan calls `name`, whatever the preset of `config`.
///
/// # Errors
/// [`Error::Core`] for another number of scores than channels, for a score that is not finite, for slices that do not sum to the channels,
/// and for slices or a schedule beside those of the model; and as [`kernel_correlations`].
pub fn plan_by(checkpoint: &Checkpoint, name: &str, scores: &[f64], config: &PlanConfig) -> Result<Planned> {
    let m = checkpoint.m();
    if scores.len() != m {
        return Err(Error::setting("scores", format!("one for each of {m} channels"), scores.len()));
    }
    if !is_name(name) {
        return Err(Error::setting("name of the scores", format!("a text of 1 to {MAX_NAME} bytes"), name));
    }
    if let Some(channel) = scores.iter().position(|score| !score.is_finite()) {
        let found = format!("{} for channel {channel}", scores[channel]);
        return Err(Error::setting("scores", "finite numbers", found));
    }
    let grouping = config.grouping.unwrap_or(config.objective.grouping());
    let schedule = config.schedule.unwrap_or(config.objective.schedule());
    let n_wanted = config.core.size(scores);
    let correlations = kernel_correlations(checkpoint)?;
    let (order, Sizes { slices, n_core_slices }, dependencies) = match grouping {
        Grouping::Model => {
            let sizes = model_slices(checkpoint, config, n_wanted)?;
            let ranked = rank_by_score(scores);
            let of_slice = |channels: std::ops::Range<usize>| {
                ranked.iter().copied().filter(|channel| channels.contains(channel)).collect::<Vec<_>>()
            };
            let order: Vec<usize> = slice_channels(&sizes.slices).into_iter().flat_map(of_slice).collect();
            (order, sizes, of_the_model(checkpoint.design()))
        }
        _ => {
            let sizes = sizes(m, n_wanted, grouping, &config.slicing)?;
            let order = ordered(scores, &correlations, grouping, &sizes);
            let dependencies = scheduled(schedule, sizes.slices.len(), sizes.n_core_slices);
            (order, sizes, dependencies)
        }
    };
    let plan = Plan {
        model: PlannedModel {
            architecture: checkpoint.architecture().name().to_owned(),
            m,
            fingerprint: checkpoint.fingerprint(),
        },
        objective: config.objective,
        preset: name.to_owned(),
        core: config.core.to_string(),
        grouping,
        n_core: slices[..n_core_slices].iter().sum(),
        inverse: inverted(&order),
        order,
        slices,
        dependencies,
        scores: scores.to_vec(),
    };
    let report = PlanReport::new(&plan, &correlations);
    Ok(Planned { plan, report })
}

/// The order of all channels.
fn ordered(scores: &[f64], correlations: &Correlations, grouping: Grouping, sizes: &Sizes) -> Vec<usize> {
    let n_core = sizes.n_core();
    let order = importance_order(scores, n_core, correlations);
    let (core, auxiliary) = order.split_at(n_core);
    let (of_core, of_auxiliary) = sizes.slices.split_at(sizes.n_core_slices);
    match grouping {
        Grouping::CorrelationSpread => {
            let parts = [(core, of_core), (auxiliary, of_auxiliary)];
            parts.map(|(channels, widths)| spread(channels, widths, correlations)).concat()
        }
        Grouping::CorrelationCluster => {
            let mut parents = vec![0; scores.len()];
            attachments(scores, n_core, correlations).iter().for_each(|a| parents[a.channel] = a.parent);
            // The order has the children of one parent side by side.
            let families: Vec<Vec<usize>> =
                auxiliary.chunk_by(|&a, &b| parents[a] == parents[b]).map(<[usize]>::to_vec).collect();
            core.iter().copied().chain(cluster(&families, of_auxiliary)).collect()
        }
        _ => order,
    }
}

/// The model's own slices. The core are those that all others may see, where the model has such; else as many as hold it.
fn model_slices(checkpoint: &Checkpoint, config: &PlanConfig, n_core: usize) -> Result<Sizes> {
    let design = checkpoint.design();
    let own = format!("none beside those of the model, {:?}", design.slices);
    if config.slicing != Slicing::Default {
        return Err(Error::setting("slices", own, format!("{:?}", config.slicing)));
    }
    if let Some(schedule) = config.schedule.filter(|_| design.slices.len() > 1) {
        return Err(Error::setting("schedule", "none beside that of the model", schedule.name()));
    }
    if design.slices.len() > MAX_SLICES {
        let expected = format!("at most {MAX_SLICES} slices");
        return Err(Error::format(checkpoint.path(), "slices of y", expected, design.slices.len()));
    }
    let slices = design.slices.clone();
    Ok(match design.n_support {
        0 => Sizes::around(slices, n_core),
        n => Sizes { n_core_slices: n.min(slices.len()), slices },
    })
}

#[cfg(test)]
mod tests {
    use grouping_core::testing::assert_refused;

    use super::super::Schedule;
    use super::*;
    use crate::channels::Preset;

    #[test]
    fn what_is_no_plan_is_refused() {
        let checkpoint = Checkpoint::default_model().expect("the model");
        let config = PlanConfig::new(Preset::Literal);
        let refuse = |scores: &[f64], config: &PlanConfig, words: &str| {
            assert_refused(plan_by(&checkpoint, "given", scores, config), words);
        };
        refuse(&[1.0; 63], &config, "scores: expected one for each of 64 channels, found 63");
        let mut scores = [1.0; 64];
        scores[5] = f64::NAN;
        refuse(&scores, &config, "scores: expected finite numbers, found NaN for channel 5");
        let of_model = config.clone().with_grouping(Some(Grouping::Model));
        let widths = of_model.clone().with_slicing(Slicing::Widths(vec![64]));
        refuse(&[1.0; 64], &widths, "slices: expected none beside those of the model, [64]");
        let serial = of_model.with_schedule(Some(Schedule::Serial));
        assert_refused(plan_by(&checkpoint, "", &[1.0; 64], &config), "a text of 1 to 64 bytes");
        assert!(plan_by(&checkpoint, "given", &[1.0; 64], &serial).is_ok(), "one slice has no schedule");
    }
}
