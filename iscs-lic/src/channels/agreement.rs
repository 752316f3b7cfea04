//! How well a score of channels agrees with another, such as an ablation.
//!
//! Spearman's ρ is Pearson's correlation of ranks; equal values share the mean of their ranks.

use grouping_core::correlation::{Measure, correlation_between};
use grouping_core::matrix::MatrixRef;

use super::normalisation::ranks;
use super::order::rank_by_score;

/// Spearman's rank correlation of two scores of the same channels; none of fewer than two, or where one of them is constant.
///
/// ```
/// use iscs_lic::channels::spearman;
///
/// let rho = spearman(&[1.0, 2.0, 4.0], &[0.1, 0.5, 0.2]).expect("neither is constant");
/// assert!((rho - 0.5).abs() < 1e-12);
/// assert_eq!(spearman(&[1.0, 1.0], &[0.1, 0.5]), None);
/// ```
///
/// # Panics
/// When the lengths differ.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    assert_eq!(a.len(), b.len(), "scores of the same channels");
    // Halves of whole numbers, exact in 32 bits up to eight million channels.
    let [a, b] = [a, b].map(|x| ranks(x).into_iter().map(|rank| rank as f32).collect::<Vec<_>>());
    let (a, b) = (MatrixRef::new(1, a.len(), &a).ok()?, MatrixRef::new(1, b.len(), &b).ok()?);
    let rho = correlation_between(a, b, Measure::Pearson).ok()?.at(0, 0);
    (!rho.is_nan()).then_some(rho)
}

/// How well a score finds what an ablation finds.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Agreement {
    /// Spearman's ρ with how much the error grows; none where one of them is constant.
    pub distortion: Option<f64>,
    /// Spearman's ρ with the bits of a channel.
    pub bits: Option<f64>,
    /// How many of the channels whose ablation costs most are among as many of greatest score.
    pub overlap: usize,
}

impl Agreement {
    /// Of a score with an ablation's growth of the error and bits, over the first `n_first` channels of each.
    ///
    /// # Panics
    /// When the lengths differ.
    pub fn of(scores: &[f64], distortion: &[f64], bits: &[f64], n_first: usize) -> Self {
        let first = |scores| rank_by_score(scores).into_iter().take(n_first).collect::<Vec<_>>();
        let (own, wanted) = (first(scores), first(distortion));
        Self {
            distortion: spearman(scores, distortion),
            bits: spearman(scores, bits),
            overlap: wanted.iter().filter(|channel| own.contains(channel)).count(),
        }
    }
}
