//! Rounds: ours and what it is compared with are measured next to each other, several times, and the median of the rounds' ratios counts.
//!
//! A machine whose speed drifts is as fast for both sides of a ratio only where they stand side by side. The order is turned from round to
//! round, so that a steady drift favours neither.

use serde::Serialize;

/// What is measured next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Ours, of the case with this index among those that are measured together.
    Ours(usize),
    /// What they are all compared with.
    Other,
}

/// The order of one round of `n_cases` that are compared with one thing, which stands in the middle.
pub(super) fn turns(n_cases: usize, round: usize) -> Vec<Turn> {
    let mut turns: Vec<Turn> = (0..n_cases).map(Turn::Ours).collect();
    turns.insert(n_cases.div_ceil(2), Turn::Other);
    if round % 2 == 1 {
        turns.reverse();
    }
    turns
}

/// The two figures of one case in one round, in seconds or bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Round {
    pub(super) ours: f64,
    pub(super) reference: Option<f64>,
    ratio: Option<f64>,
}

impl Round {
    pub(super) fn new(ours: f64, reference: Option<f64>) -> Self {
        Self { ours, reference, ratio: reference.map(|reference| ours / reference) }
    }
}

/// The median of the rounds' ratios, with the least and the greatest of them; none without a reference.
pub(super) fn ratio(rounds: &[Round]) -> Option<(f64, [f64; 2])> {
    let ratios = || rounds.iter().filter_map(|round| round.ratio);
    let range = [ratios().reduce(f64::min)?, ratios().reduce(f64::max)?];
    Some((median(ratios())?, range))
}

/// The middle of these values, or between the middle two; none of nothing.
pub(super) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(lower.midpoint(upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_stand_next_to_each_other() {
        use Turn::{Other, Ours};
        assert_eq!(turns(1, 0), [Ours(0), Other], "ours first");
        assert_eq!(turns(1, 1), [Other, Ours(0)], "and last in the next round");
        assert_eq!(turns(2, 2), [Ours(0), Other, Ours(1)], "each of two beside what both are compared with");
    }

    #[test]
    fn a_drift_between_rounds_leaves_the_ratio() {
        // The machine is 30 % slower in the second round, and disturbed in the third.
        let rounds = [(1.0, 2.0), (1.3, 2.6), (1.8, 2.0)].map(|(ours, other)| Round::new(ours, Some(other)));
        let (ratio, [least, most]) = ratio(&rounds).expect("three ratios");
        assert!((ratio - 0.5).abs() < 1e-12, "the median of the ratios: {ratio}");
        assert!((least - 0.5).abs() < 1e-12 && (most - 0.9).abs() < 1e-12, "the range: {least} to {most}");
        assert!(super::ratio(&[Round::new(1.0, None)]).is_none(), "nothing to compare with");
    }

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0), "the middle");
        assert_eq!(median([4.0, 1.0].into_iter()), Some(2.5), "between the middle two");
        assert_eq!(median(std::iter::empty()), None, "of nothing");
    }
}
