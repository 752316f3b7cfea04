//! What a plan means for rate, progressive quality and parallelism.
//!
//! | objective | figures |
//! |---|---|
//! | rate | mean `\|ρ\|` of kernels over the pairs of channels inside of a slice, in slices that see each other, and in slices that do not |
//! | progressive | the share of the scores' sum in the first k slices |
//! | parallelism | the longest chain of slices, in slices and in channels |
//!
//! Correlations inside of slices are lost to a channel-conditional model; those across dependent slices it can exploit. The correlation of
//! kernels says little of that of latents (0.29 by Spearman on the built-in model), so that a difference here is a hint and no rate.
//! Where a score lies below zero, shares are those of what lies above the least score.

use grouping_core::correlation::Correlations;
use serde::Serialize;

use super::dependencies::critical_path;
use super::members::magnitude;
use super::{Plan, hex};
use crate::channels::slice_channels;

/// Mean `|ρ|` over pairs of channels; none where there is no such pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// In the same slice.
    pub inside: Option<f64>,
    /// In slices of which one is conditioned on the other.
    pub dependent: Option<f64>,
    /// In other slices.
    pub independent: Option<f64>,
}

/// How much can be decoded side by side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Parallelism {
    /// All slices.
    pub slices: usize,
    /// The most slices that wait for each other.
    pub critical_slices: usize,
    /// All channels.
    pub channels: usize,
    /// The most channels in slices that wait for each other.
    pub critical_channels: usize,
    /// Channels over critical channels: by how much enough threads shorten what is done slice by slice, at most.
    pub speedup: f64,
}

/// One slice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SliceReport {
    /// Its channels.
    pub channels: usize,
    /// Whether they belong to the core.
    pub is_core: bool,
    /// The slices that it is conditioned on.
    pub depends_on: Vec<usize>,
    /// The share of the scores' sum in it and all before it.
    pub cumulative_score: f64,
    /// Mean `|ρ|` inside.
    pub inside: Option<f64>,
    /// Mean `|ρ|` to channels of slices that it is conditioned on.
    pub dependent: Option<f64>,
}

/// What a plan means for all objectives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanReport {
    /// The plan's, in hexadecimal digits.
    pub fingerprint: String,
    /// Channels of the core.
    pub core_channels: usize,
    /// The share of the scores' sum in the core.
    pub core_score: f64,
    /// Correlations that contexts can exploit, and others.
    pub rate: Rate,
    /// The share of the scores' sum in the first k slices, for k from 1.
    pub progressive: Vec<f64>,
    /// Chains of slices.
    pub parallelism: Parallelism,
    /// Each slice.
    pub slices: Vec<SliceReport>,
}

/// A mean that is made step by step.
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    n: usize,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.n += 1;
    }

    fn join(self, other: Self) -> Self {
        Self { sum: self.sum + other.sum, n: self.n + other.n }
    }

    fn value(self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }
}

impl PlanReport {
    /// Of a plan and the correlations of its model's kernels, `[M, M]`.
    ///
    /// # Panics
    /// When there are fewer correlations than channels.
    pub fn new(plan: &Plan, correlations: &Correlations) -> Self {
        let ranges = slice_channels(&plan.slices);
        let channels = |k: usize| &plan.order[ranges[k].clone()];
        // For each slice: inside, dependent, and independent of slices before.
        let mut means = vec![[Mean::default(); 3]; ranges.len()];
        for (k, of_slice) in means.iter_mut().enumerate() {
            for (i, &a) in channels(k).iter().enumerate() {
                channels(k)[..i].iter().for_each(|&b| of_slice[0].add(magnitude(correlations, a, b)));
            }
            for earlier in 0..k {
                let which = if plan.dependencies[k].contains(&earlier) { 1 } else { 2 };
                for &a in channels(k) {
                    channels(earlier)
                        .iter()
                        .for_each(|&b| of_slice[which].add(magnitude(correlations, a, b)));
                }
            }
        }
        let [inside, dependent, independent] =
            [0, 1, 2].map(|which| means.iter().fold(Mean::default(), |all, of| all.join(of[which])).value());
        let progressive = cumulative(&plan.scores, ranges.iter().map(|range| &plan.order[range.clone()]));
        let slices = (0..ranges.len()).map(|k| SliceReport {
            channels: plan.slices[k],
            is_core: ranges[k].end <= plan.n_core,
            depends_on: plan.dependencies[k].clone(),
            cumulative_score: progressive[k],
            inside: means[k][0].value(),
            dependent: means[k][1].value(),
        });
        let path = critical_path(&plan.slices, &plan.dependencies);
        let m = plan.order.len();
        Self {
            fingerprint: hex(&plan.fingerprint()),
            core_channels: plan.n_core,
            core_score: plan.n_core_slices().checked_sub(1).map_or(0.0, |last| progressive[last]),
            rate: Rate { inside, dependent, independent },
            slices: slices.collect(),
            parallelism: Parallelism {
                slices: plan.slices.len(),
                critical_slices: path.n_slices,
                channels: m,
                critical_channels: path.n_channels,
                speedup: m as f64 / path.n_channels.max(1) as f64,
            },
            progressive,
        }
    }
}

/// The share of the scores' sum in the first slices.
fn cumulative<'a>(scores: &[f64], slices: impl Iterator<Item = &'a [usize]>) -> Vec<f64> {
    let least = scores.iter().copied().fold(0.0, f64::min);
    let total: f64 = scores.iter().map(|score| score - least).sum();
    let mut sum = 0.0;
    slices
        .map(|slice| {
            sum += slice.iter().map(|&channel| scores[channel] - least).sum::<f64>();
            // Scores that are all zero are shared out by none.
            if total > 0.0 { sum / total } else { 0.0 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_end_at_one_also_below_zero() {
        let order = [2, 0, 1];
        let of = |scores: &[f64]| cumulative(scores, [&order[..1], &order[1..]].into_iter());
        assert_eq!(of(&[1.0, 0.0, 3.0]), [0.75, 1.0], "above zero");
        assert_eq!(of(&[0.0, -1.0, 2.0]), [0.75, 1.0], "above the least");
        assert_eq!(of(&[0.0; 3]), [0.0, 0.0], "nothing to share");
    }
}
