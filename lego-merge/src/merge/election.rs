//! Electing a sign for each value and averaging the sources that agree (TIES, arXiv 2306.01708).
//!
//! `m'ₚ = Σ_{i: sgn(xᵢₚ) = γₚ} weightᵢ·xᵢₚ / max(1, |{i: sgn(xᵢₚ) = γₚ}|)`, with the elected sign `γₚ` of the unweighted
//! values. A zero agrees with no sign; a tie elects `+`. As in PEFT, weights do not vote.

use pulp::{Arch, Simd, WithSimd};
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

/// Values that are merged at once: their votes, sums and counts stay in the first-level cache.
const CHUNK: usize = 1024;

/// The mean of the weighted sources that have the elected sign, value by value.
pub(super) fn disjoint_mean(half: &Half<'_>, majority: MajoritySign) -> Vec<f32> {
    Arch::new().dispatch(Mean { half, majority })
}

/// The election, compiled for the best instructions that the CPU has.
struct Mean<'a> {
    half: &'a Half<'a>,
    majority: MajoritySign,
}

impl WithSimd for Mean<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<f32> {
        let n = self.half.tensors.first().map_or(0, |t| t.len());
        let mut out = vec![0f32; n];
        for (c, out) in out.chunks_mut(CHUNK).enumerate() {
            let chunk = c * CHUNK..c * CHUNK + out.len();
            let mut votes = [0f64; CHUNK];
            for tensor in &self.half.tensors {
                let ballots = votes.iter_mut().zip(&tensor[chunk.clone()]);
                match self.majority {
                    MajoritySign::Total => ballots.for_each(|(sum, &v)| *sum += f64::from(v)),
                    MajoritySign::Frequency => ballots.for_each(|(sum, &v)| {
                        *sum += f64::from(u8::from(v > 0.0)) - f64::from(u8::from(v < 0.0));
                    }),
                }
            }
            let (mut sums, mut counts) = ([0f64; CHUNK], [0f64; CHUNK]);
            for (tensor, &weight) in self.half.tensors.iter().zip(&self.half.weights) {
                let places = sums.iter_mut().zip(&mut counts).zip(&votes);
                for (((sum, count), &votes), &v) in places.zip(&tensor[chunk.clone()]) {
                    // Without a branch, which would keep the loop from being vectorised.
                    let agrees = ((votes >= 0.0) & (v > 0.0)) | ((votes < 0.0) & (v < 0.0));
                    let agrees = f64::from(u8::from(agrees));
                    *sum += agrees * weight * f64::from(v);
                    *count += agrees;
                }
            }
            for ((out, sum), count) in out.iter_mut().zip(sums).zip(counts) {
                *out = (sum / count.max(1.0)) as f32;
            }
        }
        out
    }
}
