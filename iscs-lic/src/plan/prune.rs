//! A model of which only some latent channels are left: the salient core, sent and decoded by smaller networks.
//!
//! Rows of `g_a`, columns of `g_s` and `h_a`, rows of the entropy head, and distributions go with their channel, so that M falls, and computation
//! with it. A channel that is not sent is a constant `c_d` for both sides (see `constants.rs`), and what layers read of constants is kept
//! ([`Constants`]). The model that is written codes a picture as the whole model would whose channels d are the constants `c_d`.
//!
//! | architecture | |
//! |---|---|
//! | `bmshj2018-factorized`, `-relu`, `bmshj2018-hyperprior` | CompressAI loads the result: its M is free |
//! | `mbt2018-mean`, `mbt2018` | inner widths of CompressAI's classes follow from M; the result keeps those that it was trained with |
//! | `cheng2020-…` | refused: N and M are one, and blocks at the latents add to all channels |
//! | `elic2022-official` | refused: attention at the latents mixes all channels, and slices are predicted from slices |
//! | `ms2020` | refused: slices are predicted from slices |
//!
//! A decoder that holds the whole model shows the mean that it predicts at each position for a channel that is missing, as of a truncated
//! file. A model without the rows of that mean cannot, and shows one constant.

use std::path::Path;

use grouping_core::files::output::Existing;
use grouping_core::files::tensor_file::Tensor;

use super::carrier::{Carrier, LEAST_SCALE, combined};
use super::constants::constants;
use super::cost::{Cost, multiply_adds};
use super::fold::{by_axis, tables};
use super::slabs::Slabs;
use crate::channels::{ChannelAxis, Core, Use, rank_by_score};
use crate::checkpoint::{Architecture, Changes, Checkpoint, FILTERS, Layer};
use crate::coder::Tables;
use crate::{Error, Result};

/// How the constants of pruned channels stay in the networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Constants {
    /// Exactly, by one more channel that is a constant; none where all constants are 0.
    #[default]
    Carrier,
    /// In the biases of the layers that read them: right inside of the picture for a convolution, in the mean over its phases for a
    /// transposed one, and wrong at the picture's edge.
    Bias,
    /// Not at all: pruned channels are 0.
    Zero,
}

/// How channels are pruned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneConfig {
    /// How their constants stay.
    pub constants: Constants,
}

/// A pruned model and what it saves.
#[derive(Clone, Debug)]
pub struct Pruned {
    /// The model that was written.
    pub checkpoint: Checkpoint,
    /// The channels of the whole model that are left, in their new order.
    pub kept: Vec<usize>,
    /// What stands for each channel of the whole model that is not left, and would for those that are.
    pub constants: Vec<f64>,
    /// The channel behind them that carries the constants of the others.
    pub carrier: Option<Carrier>,
    /// For [`Constants::Bias`]: the most by which a sum of the first layer of `g_s` is off in one of its phases, inside of a picture.
    pub bias_error: Option<f64>,
    /// The cost of every network before.
    pub before: Vec<Cost>,
    /// The cost of every network after.
    pub after: Vec<Cost>,
    /// Whether CompressAI's class of this architecture has the widths of the result for its M, so that `from_state_dict` loads it.
    pub loads_in_compressai: bool,
}

impl PruneConfig {
    /// With the constants kept so.
    #[must_use]
    pub fn with_constants(self, constants: Constants) -> Self {
        Self { constants }
    }
}

/// The channels of the core by these scores, ascending.
pub fn core_channels(scores: &[f64], core: Core) -> Vec<usize> {
    let mut kept = rank_by_score(scores)[..core.size(scores)].to_vec();
    kept.sort_unstable();
    kept
}

/// Writes a model of which only the channels `kept` are left, in this order, as [`Checkpoint::save`], and opens it.
///
/// # Errors
/// [`Error::Core`] for an architecture that cannot be pruned, for a channel that is kept twice or that there is none of, and as
/// [`Checkpoint::save`] and [`Checkpoint::open`].
pub fn prune(
    checkpoint: &Checkpoint,
    kept: &[usize],
    config: PruneConfig,
    path: &Path,
    existing: Existing,
) -> Result<Pruned> {
    existing.check(path)?;
    check_architecture(checkpoint)?;
    let dropped = others(checkpoint.m(), kept)?;
    let mut cut = Cut::new(checkpoint, kept, dropped, config.constants)?;
    let changes = cut.changes()?;
    checkpoint.save_changed(&changes, path, existing)?;
    let pruned = Checkpoint::open(path)?;
    let [before, after] = [checkpoint, &pruned].map(|c| multiply_adds(c.design()));
    Ok(Pruned {
        kept: kept.to_vec(),
        carrier: cut.carrier,
        bias_error: cut.bias_error,
        constants: cut.constants,
        loads_in_compressai: pruned.has_compressais_widths(),
        checkpoint: pruned,
        before,
        after,
    })
}

fn check_architecture(checkpoint: &Checkpoint) -> Result<()> {
    let reason = match checkpoint.architecture() {
        Architecture::FactorizedPrior
        | Architecture::FactorizedPriorRelu
        | Architecture::ScaleHyperprior
        | Architecture::MeanScaleHyperprior
        | Architecture::JointAutoregressive => return Ok(()),
        Architecture::Cheng2020Anchor
        | Architecture::Cheng2020Attention
        | Architecture::Cheng2020AnchorCheckerboard => {
            "its N and M are one, and blocks at the latents add to all channels"
        }
        Architecture::Elic2022 => {
            "attention at the latents mixes all channels, and slices are predicted from slices"
        }
        Architecture::ChannelConditional => "slices are predicted from slices",
    };
    let expected =
        "bmshj2018-factorized, bmshj2018-factorized-relu, bmshj2018-hyperprior, mbt2018-mean or mbt2018";
    let found = format!("{}, which cannot be pruned: {reason}", checkpoint.architecture());
    Err(Error::format(checkpoint.path(), "architecture", expected, found))
}

/// The channels that are not kept.
fn others(m: usize, kept: &[usize]) -> Result<Vec<usize>> {
    let mut is_kept = vec![false; m];
    for &channel in kept {
        match is_kept.get_mut(channel) {
            None => return Err(Error::setting("kept", format!("channels below {m}"), channel)),
            Some(true) => {
                return Err(Error::setting("kept", "each channel once", format!("{channel} again")));
            }
            Some(is_kept) => *is_kept = true,
        }
    }
    if kept.is_empty() {
        return Err(Error::setting("kept", "at least one channel", "none"));
    }
    Ok((0..m).filter(|&channel| !is_kept[channel]).collect())
}

/// The making of a smaller model.
struct Cut<'a> {
    checkpoint: &'a Checkpoint,
    kept: &'a [usize],
    dropped: Vec<usize>,
    /// By channel of the whole model.
    constants: Vec<f64>,
    carrier: Option<Carrier>,
    /// Whether constants go into biases.
    folds: bool,
    bias_error: Option<f64>,
}

impl<'a> Cut<'a> {
    fn new(
        checkpoint: &'a Checkpoint,
        kept: &'a [usize],
        dropped: Vec<usize>,
        how: Constants,
    ) -> Result<Self> {
        let constants = match how {
            Constants::Zero => vec![0.0; checkpoint.m()],
            _ => constants(checkpoint)?,
        };
        let is_needed = dropped.iter().any(|&channel| constants[channel] != 0.0);
        let folds = how == Constants::Bias && is_needed;
        let mut cut = Self { checkpoint, kept, dropped, constants, carrier: None, folds, bias_error: None };
        if how == Constants::Carrier && is_needed {
            cut.carrier = Some(cut.carrier()?);
        }
        Ok(cut)
    }

    /// The carrier whose weights are no greater than those beside it.
    fn carrier(&self) -> Result<Carrier> {
        let (mut magnitude, mut largest) = (0.0f64, 0.0f64);
        for ((name, axis), runs) in by_axis(self.checkpoint.design()) {
            for run in runs.iter().filter(|run| run.does == Use::Reads) {
                let slabs = Slabs::of(&self.checkpoint.tensor(&name)?, axis);
                let sums = combined(&slabs, run.first, &self.dropped, &self.constants);
                magnitude = sums.iter().fold(magnitude, |most, sum| most.max(sum.abs()));
                let beside = self.kept.iter().flat_map(|&channel| &slabs.slabs[run.first + channel]);
                largest = beside.fold(largest, |most, &w| most.max(f64::from(w.abs())));
            }
        }
        Ok(Carrier::for_weights(magnitude, largest))
    }

    fn changes(&mut self) -> Result<Changes> {
        let mut changes = Changes::default();
        for ((name, axis), mut runs) in by_axis(self.checkpoint.design()) {
            if runs.iter().any(|run| run.does == Use::Table) {
                continue;
            }
            let mut slabs = Slabs::of(&self.checkpoint.tensor(&name)?, axis);
            // From the last, so that those before stay where they are.
            runs.sort_by_key(|run| std::cmp::Reverse(run.first));
            for run in &runs {
                if self.folds && run.does == Use::Reads {
                    self.fold(&slabs, run, &mut changes)?;
                }
                let mut left: Vec<Vec<f32>> =
                    self.kept.iter().map(|&channel| slabs.slabs[run.first + channel].clone()).collect();
                if let Some(carrier) = self.carrier {
                    left.push(self.slab_of(carrier, run, &slabs)?);
                }
                drop(slabs.slabs.splice(run.indices(), left));
            }
            changes.parameters.insert(name, slabs.joined());
        }
        changes.bottleneck = self.tables()?;
        Ok(changes)
    }

    /// What belongs to the carrier in a tensor.
    fn slab_of(&self, carrier: Carrier, run: &ChannelAxis, slabs: &Slabs) -> Result<Vec<f32>> {
        let n = slabs.slab_len();
        let is_bias = run.tensor.ends_with(".bias");
        Ok(match run.does {
            Use::Reads => carrier.weights(&combined(slabs, run.first, &self.dropped, &self.constants)),
            Use::Writes | Use::Mean if is_bias => vec![carrier.value; n],
            Use::Scale if is_bias => vec![LEAST_SCALE; n],
            Use::Distribution => {
                let bottleneck = &self.checkpoint.design().bottleneck.0;
                let part =
                    run.tensor.strip_prefix(bottleneck.as_str()).and_then(|rest| rest.strip_prefix('.'));
                carrier.distribution(part.unwrap_or(&run.tensor), n)?
            }
            Use::Writes | Use::Mean | Use::Scale | Use::Table => vec![0.0; n],
        })
    }

    /// Adds to a layer's bias what it reads of the constants.
    fn fold(&mut self, slabs: &Slabs, run: &ChannelAxis, changes: &mut Changes) -> Result<()> {
        let layer = run.tensor.strip_suffix(".weight").unwrap_or(&run.tensor);
        let name = format!("{layer}.bias");
        let mut bias: Tensor = self.checkpoint.tensor(&name)?;
        let sums = combined(slabs, run.first, &self.dropped, &self.constants);
        let area = sums.len() / bias.values.len();
        let mut all = self.checkpoint.design().networks.iter().flat_map(|network| network.named());
        let stride = match all.find(|(name, _)| name == layer) {
            // Every output position sees the taps of its own phase.
            Some((_, Layer::Deconv(conv))) => conv.stride,
            _ => 1,
        };
        let kernel = area.isqrt();
        for (bias, taps) in bias.values.iter_mut().zip(sums.chunks_exact(area)) {
            let mut phases = vec![0.0; stride * stride];
            for (i, tap) in taps.iter().enumerate() {
                phases[i / kernel % stride * stride + i % kernel % stride] += tap;
            }
            let mean = phases.iter().sum::<f64>() / phases.len() as f64;
            *bias = (f64::from(*bias) + mean) as f32;
            if stride > 1 {
                let error = phases.iter().fold(0.0f64, |most, phase| most.max((phase - mean).abs()));
                self.bias_error = Some(self.bias_error.unwrap_or(0.0).max(error));
            }
        }
        changes.parameters.insert(name, bias);
        Ok(())
    }

    /// The tables of what is left, where they are those of y.
    fn tables(&self) -> Result<Option<Tables>> {
        let (Some(kept), Some(carrier)) = (tables(self.checkpoint, self.kept)?, self.carrier) else {
            return tables(self.checkpoint, self.kept);
        };
        let rows = (0..kept.n_rows()).map(|row| (kept.row(row).to_vec(), kept.offset(row)));
        Tables::from_rows(rows.chain([carrier.table(&FILTERS)?]).collect()).map(Some)
    }
}
