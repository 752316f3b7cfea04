//! The channels of a checkpoint under one score: statistics, order, core, and what resembles what.

use grouping_core::correlation::Correlations;

use super::agreement::Agreement;
use super::correlations::kernel_correlations;
use super::order::{Attachment, attachments, importance_order};
use super::preset::Preset;
use super::salient::Core;
use super::statistics::{Statistic, Statistics};
use crate::checkpoint::Checkpoint;
use crate::{Error, Result};

/// What is known of a checkpoint's channels.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Profile {
    /// From parameters.
    pub statistics: Statistics,
    /// Of kernels, `[M, M]`.
    pub correlations: Correlations,
    /// One a channel.
    pub scores: Vec<f64>,
    /// Channels in the core.
    pub n_core: usize,
    /// π, from position to channel.
    pub order: Vec<usize>,
    /// The auxiliary channels, in the order of the channels.
    pub attachments: Vec<Attachment>,
}

impl Profile {
    /// Of a checkpoint under these scores, whatever they follow from.
    ///
    /// ```
    /// use iscs_lic::channels::{Core, Preset, Profile, scores};
    /// use iscs_lic::checkpoint::Checkpoint;
    ///
    /// let checkpoint = Checkpoint::default_model()?;
    /// let profile = Profile::new(&checkpoint, scores(&checkpoint, Preset::EntropyHead)?, Core::default())?;
    /// assert_eq!((profile.n_core, profile.order.len(), profile.attachments.len()), (16, 64, 48));
    /// # Ok::<(), iscs_lic::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Core`] for another number of scores than channels, or one that is not finite; and as [`Checkpoint::tensor`].
    pub fn new(checkpoint: &Checkpoint, scores: Vec<f64>, core: Core) -> Result<Self> {
        if scores.len() != checkpoint.m() {
            return Err(Error::setting(
                "scores",
                format!("one for each of {} channels", checkpoint.m()),
                scores.len(),
            ));
        }
        if let Some(index) = scores.iter().position(|score| !score.is_finite()) {
            let (what, value) = ("scores".into(), scores[index]);
            return Err(grouping_core::Error::NotFinite { what, index, value }.into());
        }
        let (statistics, correlations) = (Statistics::of(checkpoint)?, kernel_correlations(checkpoint)?);
        let n_core = core.size(&scores);
        Ok(Self {
            order: importance_order(&scores, n_core, &correlations),
            attachments: attachments(&scores, n_core, &correlations),
            statistics,
            correlations,
            scores,
            n_core,
        })
    }

    /// The share of the core in the sum of all scores above zero; 0 where there are none.
    pub fn core_mass(&self) -> f64 {
        let sum = |channels: &[usize]| channels.iter().map(|&c| self.scores[c].max(0.0)).sum::<f64>();
        let whole = sum(&self.order);
        if whole > 0.0 { sum(&self.order[..self.n_core]) / whole } else { 0.0 }
    }

    /// How well each statistic of the checkpoint, each preset that follows from parameters, and `others` find what an ablation finds, by name.
    ///
    /// # Panics
    /// When the ablation, or one of the others, is of another number of channels.
    pub fn agreements(
        &self,
        checkpoint: &Checkpoint,
        others: &[(&'static str, Vec<f64>)],
        distortion: &[f64],
        bits: &[f64],
    ) -> Vec<(&'static str, Agreement)> {
        let of_statistic = |kind: Statistic| Some((kind.name(), self.statistics.get(kind)?));
        // A preset that an architecture has no layers for has no scores.
        let of_preset = |preset: Preset| {
            let scores = preset.formula()?.scores(&self.statistics, checkpoint).ok()?;
            Some((preset.name(), scores))
        };
        let statistics = Statistic::ALL.into_iter().filter_map(of_statistic);
        let presets = Preset::ALL.into_iter().filter_map(of_preset);
        let all = statistics.chain(presets).chain(others.iter().cloned());
        all.map(|(name, scores)| (name, Agreement::of(&scores, distortion, bits, self.n_core))).collect()
    }
}
