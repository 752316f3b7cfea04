//! Electing a sign for each value and averaging the sources that agree (TIES, arXiv 2306.01708).
//!
//! `m'ₚ = Σ_{i: sgn(xᵢₚ) = γₚ} weightᵢ·xᵢₚ / max(1, |{i: sgn(xᵢₚ) = γₚ}|)`, with the elected sign `γₚ` of the unweighted
//! values. A zero agrees with no sign; a tie elects `+`. As in PEFT, weights do not vote.

use serde::{Deserialize, Serialize};

use super::halves::Half;

/// How a sign is elected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MajoritySign {
    /// The sign of the values' sum
    #[default]
    Total,
    /// The sign that more values have
    Frequency,
}

/// The mean of the weighted sources that have the elected sign, value by value.
pub(super) fn disjoint_mean(half: &Half<'_>, majority: MajoritySign) -> Vec<f32> {
    let n = half.tensors.first().map_or(0, |t| t.len());
    let vote = |v: f32| match majority {
        MajoritySign::Total => f64::from(v),
        MajoritySign::Frequency => f64::from(i8::from(v > 0.0) - i8::from(v < 0.0)),
    };
    let mut votes = vec![0f64; n];
    for tensor in &half.tensors {
        votes.iter_mut().zip(tensor.iter()).for_each(|(sum, &v)| *sum += vote(v));
    }
    let mut sums = vec![0f64; n];
    let mut counts = vec![0u32; n];
    for (tensor, weight) in half.tensors.iter().zip(&half.weights) {
        let places = sums.iter_mut().zip(&mut counts).zip(&votes);
        for (((sum, count), &votes), &v) in places.zip(tensor.iter()) {
            let agrees = if votes >= 0.0 { v > 0.0 } else { v < 0.0 };
            *sum += if agrees { weight * f64::from(v) } else { 0.0 };
            *count += u32::from(agrees);
        }
    }
    sums.iter().zip(counts).map(|(sum, count)| (sum / f64::from(count.max(1))) as f32).collect()
}
