//! An order of channels folded into a model's weights, and undone.
//!
//! Position p of the new model is channel π(p) of the old one: rows that write it, columns that read it, rows of its scale and mean, and its
//! distribution and table, wherever [`channel_axes`] finds them. Without a context of channels the new model codes the same picture in as many
//! bits: only sums over channels run in another order. Where slices of channels are predicted from those before (ELIC, Minnen & Singh 2020),
//! a network of a slice knows which channels it sees, and an order that stays inside of each slice is all that can be folded.

use std::collections::BTreeMap;
use std::path::Path;

use grouping_core::files::output::Existing;

use super::slabs::Slabs;
use super::{Plan, hex};
use crate::channels::{ChannelAxis, Use, channel_axes, slice_channels};
use crate::checkpoint::{Changes, Checkpoint, Design};
use crate::coder::Tables;
use crate::{Error, Result};

/// Writes the model with its channels in the order of a plan, as [`Checkpoint::save`], and opens it.
///
/// # Errors
/// As [`Plan::check_model`], [`Checkpoint::save`] and [`Checkpoint::open`], and [`Error::Container`] for an order that takes a channel into
/// another slice of a model that predicts slices from slices.
pub fn reorder(checkpoint: &Checkpoint, plan: &Plan, path: &Path, existing: Existing) -> Result<Checkpoint> {
    existing.check(path)?;
    plan.check_model(checkpoint)?;
    check_slices(checkpoint.design(), plan.order())?;
    checkpoint.save_changed(&permuted(checkpoint, plan.order())?, path, existing)?;
    Checkpoint::open(path)
}

/// Writes the model that [`reorder`] was given, from the one that it wrote, and opens it.
///
/// # Errors
/// As [`reorder`], and [`Error::Container`] for a model that this plan did not reorder: its fingerprint after the undoing is not the plan's.
pub fn undo(checkpoint: &Checkpoint, plan: &Plan, path: &Path, existing: Existing) -> Result<Checkpoint> {
    existing.check(path)?;
    let (found, m) = (checkpoint.architecture().name(), checkpoint.m());
    let wanted = plan.model();
    if wanted.architecture != found || wanted.m != m {
        let expected = format!("{} of {} channels, which the plan is for", wanted.architecture, wanted.m);
        return Err(Error::container("model", expected, format!("{found} of {m}")));
    }
    let changes = permuted(checkpoint, plan.inverse())?;
    let found = checkpoint.changed_fingerprint(&changes)?;
    if found != wanted.fingerprint {
        let expected = format!("{} after undoing", hex(&wanted.fingerprint));
        return Err(Error::container("model.fingerprint", expected, hex(&found)));
    }
    checkpoint.save_changed(&changes, path, existing)?;
    Checkpoint::open(path)
}

/// Whether an order leaves every channel in its slice, where the model predicts slices from slices.
pub(super) fn check_slices(design: &Design, order: &[usize]) -> Result<()> {
    for (k, channels) in slice_channels(&design.slices).into_iter().enumerate() {
        let Some(position) = channels.clone().find(|&position| !channels.contains(&order[position])) else {
            continue;
        };
        let expected = format!(
            "channels {} to {} in slice {k} of {}, whose networks predict slices from slices and would have to be trained anew",
            channels.start,
            channels.end - 1,
            design.architecture
        );
        return Err(Error::container(
            "order",
            expected,
            format!("channel {} at {position}", order[position]),
        ));
    }
    Ok(())
}

/// All runs of channels by the tensor and the axis.
pub(super) fn by_axis(design: &Design) -> BTreeMap<(String, usize), Vec<ChannelAxis>> {
    let mut all: BTreeMap<_, Vec<ChannelAxis>> = BTreeMap::new();
    for run in channel_axes(design) {
        all.entry((run.tensor.clone(), run.axis)).or_default().push(run);
    }
    all
}

/// The changes that bring channel `order[p]` to position p.
fn permuted(checkpoint: &Checkpoint, order: &[usize]) -> Result<Changes> {
    let mut changes = Changes::default();
    for ((name, axis), runs) in by_axis(checkpoint.design()) {
        if runs.iter().any(|run| run.does == Use::Table) {
            continue;
        }
        let tensor = match changes.parameters.remove(&name) {
            Some(tensor) => tensor,
            None => checkpoint.tensor(&name)?,
        };
        let mut slabs = Slabs::of(&tensor, axis);
        for run in runs {
            let mut taken: Vec<Vec<f32>> =
                slabs.slabs[run.indices()].iter_mut().map(std::mem::take).collect();
            for (to, &channel) in slabs.slabs[run.indices()].iter_mut().zip(&order[run.channels.clone()]) {
                *to = std::mem::take(&mut taken[channel - run.channels.start]);
            }
        }
        changes.parameters.insert(name, slabs.joined());
    }
    changes.bottleneck = tables(checkpoint, order)?;
    Ok(changes)
}

/// The tables of these channels of y, where the entropy bottleneck is theirs.
pub(super) fn tables(checkpoint: &Checkpoint, channels: &[usize]) -> Result<Option<Tables>> {
    if !channel_axes(checkpoint.design()).iter().any(|run| run.does == Use::Table) {
        return Ok(None);
    }
    let tables = checkpoint.tables(&checkpoint.design().bottleneck.0)?;
    let rows = channels.iter().map(|&c| (tables.row(c).to_vec(), tables.offset(c))).collect();
    Tables::from_rows(rows).map(Some)
}
