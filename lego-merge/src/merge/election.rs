//! Electing a sign for each value and averaging the sources that agree (TIES, arXiv 2306.01708).
//!
//! `m'ₚ = Σ_{i: sgn(xᵢₚ) = γₚ} weightᵢ·xᵢₚ / max(1, |{i: sgn(xᵢₚ) = γₚ}|)`, with the elected sign `γₚ` of the unweighted
//! values. A zero agrees with no sign; weights do not vote, as in PEFT. How the sources vote is a [`MajoritySign`], and a [`Tie`]
//! says what is elected where their votes cancel. Sums are `f64` on factors and coordinates, and `f32` on dense updates, as in PEFT.

use std::ops::{AddAssign, Div, Mul, Neg};

use grouping_core::simd::{Lanes, Level, dispatch};
use serde::{Deserialize, Serialize};

/// How the sources vote.
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

/// The sign where the votes cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tie {
    /// `+`, as in PEFT.
    Positive,
    /// The sign that most places have, `−` if neither leads: as in the released code of KnOTS and Core Space.
    MostPlaces,
}

/// The float in which votes and values are summed.
pub(super) trait Sum:
    Copy
    + Default
    + PartialOrd
    + From<f32>
    + AddAssign
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
}

impl Sum for f32 {}
impl Sum for f64 {}

/// The votes at up to `N` places; above and at zero they elect `+`.
#[inline(always)]
pub(super) fn votes<'a, F: Sum, const N: usize>(
    majority: MajoritySign,
    sources: impl Iterator<Item = &'a [f32]>,
) -> [F; N] {
    let mut votes = [F::default(); N];
    for values in sources {
        let ballots = votes.iter_mut().zip(values);
        match majority {
            MajoritySign::Total => ballots.for_each(|(sum, &v)| *sum += F::from(v)),
            MajoritySign::Frequency => ballots.for_each(|(sum, &v)| {
                *sum += F::from(f32::from(u8::from(v > 0.0)) - f32::from(u8::from(v < 0.0)));
            }),
        }
    }
    votes
}

/// The means of the weighted values that have the elected sign, 0 where none has it.
#[inline(always)]
pub(super) fn means_of_agreeing<'a, F: Sum, const N: usize>(
    votes: &[F; N],
    sources: impl Iterator<Item = (&'a [f32], F)>,
) -> [F; N] {
    let (mut sums, mut counts) = ([F::default(); N], [F::default(); N]);
    for (values, weight) in sources {
        for (((sum, count), &votes), &v) in sums.iter_mut().zip(&mut counts).zip(votes).zip(values) {
            let v = F::from(v);
            let agrees = if votes >= F::default() { v } else { -v } > F::default();
            *sum += if agrees { weight * v } else { F::default() };
            *count += if agrees { F::from(1.0) } else { F::default() };
        }
    }
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum = *sum / if count > F::from(1.0) { count } else { F::from(1.0) };
    }
    sums
}

/// Values that are merged at once: their votes, sums and counts stay in the first-level cache.
const BLOCK: usize = 1024;

/// The mean of the weighted sources that have the elected sign, value by value; summed in `f64`.
pub(super) fn disjoint_mean<T: AsRef<[f32]>>(
    tensors: &[T],
    weights: &[f64],
    majority: MajoritySign,
    tie: Tie,
) -> Vec<f32> {
    let sources: Vec<_> = tensors.iter().map(AsRef::as_ref).zip(weights.iter().copied()).collect();
    elect(Level::detect(), &sources, majority, tie)
}

dispatch!(elect = elect_kernel(sources: &[(&[f32], f64)], majority: MajoritySign, tie: Tie) -> Vec<f32>);

#[inline(always)]
fn elect_kernel<L: Lanes>(sources: &[(&[f32], f64)], majority: MajoritySign, tie: Tie) -> Vec<f32> {
    let mut out = vec![0f32; sources.first().map_or(0, |(values, _)| values.len())];
    // Ties are decided when all other places are known.
    let (mut balance, mut tied) = (0i64, vec![]);
    for (start, out) in (0..).step_by(BLOCK).zip(out.chunks_mut(BLOCK)) {
        let len = out.len();
        let part = || sources.iter().map(|&(values, weight)| (&values[start..start + len], weight));
        let votes: [f64; BLOCK] = votes(majority, part().map(|(values, _)| values));
        let means = means_of_agreeing(&votes, part());
        out.iter_mut().zip(means).for_each(|(out, mean)| *out = mean as f32);
        if tie == Tie::MostPlaces {
            balance += votes.iter().map(|&v| i64::from(v > 0.0) - i64::from(v < 0.0)).sum::<i64>();
            let is_tied = |p: &usize| votes[*p] == 0.0 && part().any(|(values, _)| values[*p] != 0.0);
            tied.extend((0..len).filter(is_tied).map(|p| start + p));
        }
    }
    if balance <= 0 {
        for p in tied {
            let place = sources.iter().map(|&(values, weight)| (&values[p..=p], weight));
            out[p] = means_of_agreeing(&[-1.0], place)[0] as f32;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(tensors: &[&[f32]], majority: MajoritySign, tie: Tie) -> Vec<f32> {
        disjoint_mean(tensors, &vec![1.0; tensors.len()], majority, tie)
    }

    #[test]
    fn the_values_of_the_elected_sign_are_averaged() {
        for tie in [Tie::Positive, Tie::MostPlaces] {
            let sources: [&[f32]; 3] = [&[3., -1., 2., 0.], &[-1., -3., 4., 0.], &[1., 2., 0., 0.]];
            let found = merged(&sources, MajoritySign::Total, tie);
            assert_eq!(found, [2., -2., 3., 0.], "{tie:?}: means of 3 and 1, −1 and −3, 2 and 4, none");
        }
        let sources: [&[f32]; 3] = [&[5.], &[-1.], &[-2.]];
        assert_eq!(merged(&sources, MajoritySign::Total, Tie::Positive), [5.], "the sum is above zero");
        assert_eq!(merged(&sources, MajoritySign::Frequency, Tie::Positive), [-1.5], "most are below");
    }

    #[test]
    fn ties_follow_their_rule() {
        let found = |one: &[f32], other: &[f32], tie| merged(&[one, other], MajoritySign::Total, tie);
        let (up, down) = ([&[1., 5., 5.], &[-1., 5., -1.]], [&[1., -5., -5.], &[-1., -5., 1.]]);
        assert_eq!(found(up[0], up[1], Tie::MostPlaces), [1., 5., 5.], "two places are positive");
        assert_eq!(found(down[0], down[1], Tie::MostPlaces), [-1., -5., -5.], "two places are negative");
        assert_eq!(found(down[0], down[1], Tie::Positive), [1., -5., -5.], "always positive");
        assert_eq!(found(&[2.], &[-2.], Tie::MostPlaces), [-2.], "negative where neither leads");
    }

    #[test]
    fn long_tensors_are_merged_as_short_ones_at_every_level() {
        let long: Vec<f32> = (0..3 * BLOCK + 7).map(|i| (i % 11) as f32 - 5.0).collect();
        let double: Vec<f32> = long.iter().map(|v| 3.0 * v).collect();
        let expected: Vec<f32> = long.iter().map(|v| 2.0 * v).collect();
        for level in Level::supported() {
            let sources: [(&[f32], f64); 2] = [(&long, 1.0), (&double, 1.0)];
            let found = elect(level, &sources, MajoritySign::Total, Tie::MostPlaces);
            assert_eq!(found, expected, "{level:?}: the mean of one and three times");
        }
    }
}
