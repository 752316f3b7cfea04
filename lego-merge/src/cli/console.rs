//! What is odd about adapters, and the bar of a plan.

use grouping_core::command::{ProgressBar, bar, say};

use lego_merge::adapter::Adapter;
use lego_merge::merge::{MergeConfig, Plan};

/// Plans a merge; the bar counts the modules that are read for it and those that will be merged.
pub(super) fn plan<'a>(
    adapters: &'a [Adapter],
    config: &'a MergeConfig,
) -> lego_merge::Result<(Plan<'a>, ProgressBar)> {
    let bar = bar(0, "modules");
    let plan = Plan::observed(adapters, config, |n_modules| {
        bar.set_length(n_modules as u64);
        bar.inc(1);
    })?;
    bar.set_length(bar.position() + plan.modules().len() as u64);
    Ok((plan, bar))
}

/// Says what is odd about adapters.
pub(super) fn warn(adapters: &[Adapter]) {
    for adapter in adapters {
        for warning in adapter.warnings() {
            say(format_args!("warning: {}: {warning}", adapter.path().display()));
        }
    }
}
