//! An order of all latent channels: the core by score, then what resembles it.
//!
//! - The core comes first, the greatest score first.
//! - An auxiliary channel a has a parent, `argmax_{c ∈ core} |ρ_ac|`, and the redundancy `r_a = max_{c ∈ core} |ρ_ac|`.
//! - Auxiliary channels follow parent by parent, the parent first whose children have the greatest sum of scores; the children of one
//!   parent by score, the greatest first.
//!
//! Of equal scores the lower channel comes first; of equal correlations that with the first channel of the core, and of equal sums those of
//! the parent that stands first in the core. A correlation that is NaN, of a channel whose weights are all equal, counts as none.

use grouping_core::correlation::Correlations;

/// The redundancy from which on a channel says little that its parent does not.
pub const REDUNDANT: f64 = 0.8;

/// An auxiliary channel and the channel of the core that it resembles most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attachment {
    /// The auxiliary channel.
    pub channel: usize,
    /// The channel of the core.
    pub parent: usize,
    /// The correlation of their kernels, with its sign; 0 where there is none.
    pub correlation: f64,
}

impl Attachment {
    /// Whether the redundancy is at least `threshold`, such as [`REDUNDANT`].
    pub fn is_redundant(&self, threshold: f64) -> bool {
        self.correlation.abs() >= threshold
    }
}

/// Channels by score, the greatest first; of equal scores the lower channel first. NaN comes last.
pub fn rank_by_score(scores: &[f64]) -> Vec<usize> {
    let key = |channel: usize| if scores[channel].is_nan() { f64::NEG_INFINITY } else { scores[channel] };
    let mut order: Vec<usize> = (0..scores.len()).collect();
    // −0 is 0, and the sort keeps the order of equals.
    order.sort_by(|&a, &b| (key(b) + 0.0).total_cmp(&(key(a) + 0.0)));
    order
}

/// The parent of each auxiliary channel, in the order of the channels. `n_core` is cut to the channels that there are; a core of none has
/// no children.
///
/// # Panics
/// When there are not as many correlations as scores.
pub fn attachments(scores: &[f64], n_core: usize, correlations: &Correlations) -> Vec<Attachment> {
    let ranked = rank_by_score(scores);
    attached(&ranked, n_core, correlations)
}

fn attached(ranked: &[usize], n_core: usize, correlations: &Correlations) -> Vec<Attachment> {
    let n = ranked.len();
    let shape = [correlations.n_rows(), correlations.n_cols()];
    assert_eq!(shape, [n, n], "correlations of {n} channels");
    let (core, auxiliary) = ranked.split_at(n_core.min(n));
    let magnitude = |a: usize, c: usize| {
        let r = correlations.at(a, c);
        if r.is_nan() { 0.0 } else { r.abs() }
    };
    let attach = |&channel: &usize| {
        // The first of equals.
        let parent = core.iter().copied().reduce(|best, other| {
            if magnitude(channel, other) > magnitude(channel, best) { other } else { best }
        })?;
        let correlation = correlations.at(channel, parent);
        let correlation = if correlation.is_nan() { 0.0 } else { correlation };
        Some(Attachment { channel, parent, correlation })
    };
    let mut all: Vec<Attachment> = auxiliary.iter().filter_map(attach).collect();
    all.sort_by_key(|attachment| attachment.channel);
    all
}

/// The order π, from position to channel: the core by score, then the auxiliary channels by parent.
///
/// `n_core` is cut to the channels that there are. With a core of none, all channels stand by score.
///
/// ```
/// use grouping_core::correlation::{Measure, correlation_within};
/// use grouping_core::matrix::MatrixRef;
/// use iscs_lic::channels::importance_order;
///
/// let kernels = [1., -1., 0., 0., 0., 0., 1., -1., 2., -2., 1., -1., 0.1, 0., 3., -3.];
/// let correlations = correlation_within(MatrixRef::new(4, 4, &kernels)?, Measure::Pearson)?;
/// // The core is 1 and 0; channel 3 resembles 1, and channel 2 resembles 0.
/// assert_eq!(importance_order(&[0.8, 0.9, 0.3, 0.2], 2, &correlations), [1, 0, 2, 3]);
/// assert_eq!(importance_order(&[0.8, 0.9, 0.3, 0.4], 2, &correlations), [1, 0, 3, 2]);
/// # Ok::<(), iscs_lic::Error>(())
/// ```
///
/// # Panics
/// When there are not as many correlations as scores.
pub fn importance_order(scores: &[f64], n_core: usize, correlations: &Correlations) -> Vec<usize> {
    let ranked = rank_by_score(scores);
    let attached = attached(&ranked, n_core, correlations);
    let n_core = n_core.min(ranked.len());
    let (core, auxiliary) = ranked.split_at(n_core);
    if core.is_empty() {
        return ranked;
    }
    let mut parents = vec![0; scores.len()];
    attached.iter().for_each(|a| parents[a.channel] = a.parent);
    // Children by score, in the order of the core.
    let mut families: Vec<Vec<usize>> = core
        .iter()
        .map(|&parent| auxiliary.iter().copied().filter(|&channel| parents[channel] == parent).collect())
        .collect();
    let sum = |family: &[usize]| family.iter().map(|&channel| scores[channel]).sum::<f64>();
    families.sort_by(|a, b| sum(b).total_cmp(&sum(a)));
    core.iter().copied().chain(families.concat()).collect()
}
