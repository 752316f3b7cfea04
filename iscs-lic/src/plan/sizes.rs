//! How wide slices are, and where the core ends among them.
//!
//! | grouping | widths |
//! |---|---|
//! | even | M shared out evenly among n slices; the core is as many of them as hold it |
//! | others | the core of n_c channels in slices of weights 1, 1, 2, 4, …; the rest evenly |
//!
//! Shares are whole by largest remainder (`grouping_core::matching::apportion`), each slice at least one channel wide.

use grouping_core::matching::apportion::{ApportionConfig, apportion};

use super::MAX_SLICES;
use super::config::{Grouping, Slicing};
use crate::{Error, Result};

/// Slices of a plan that names no number: even ones, those of the core, and those of the auxiliary channels.
const N_EVEN: usize = 10;
const N_CORE: usize = 3;
const N_AUXILIARY: usize = 4;

/// Widths of slices, of which the first `n_core_slices` hold the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) slices: Vec<usize>,
    pub(super) n_core_slices: usize,
}

impl Sizes {
    /// Slices whose core is as many as hold `n_core` channels.
    pub(super) fn around(slices: Vec<usize>, n_core: usize) -> Self {
        let ends = slices.iter().scan(0, |end, n| {
            *end += n;
            Some(*end)
        });
        let n_core_slices = ends.take_while(|end| *end < n_core).count() + 1;
        Self { slices, n_core_slices }
    }

    /// Channels of the core.
    pub(super) fn n_core(&self) -> usize {
        self.slices[..self.n_core_slices].iter().sum()
    }
}

/// The widths of slices of `m` channels, for a core of `n_core` or, up to the edge of a slice, more.
pub(super) fn sizes(m: usize, n_core: usize, grouping: Grouping, slicing: &Slicing) -> Result<Sizes> {
    let n_core = n_core.clamp(1, m);
    match (slicing, grouping) {
        (Slicing::Widths(widths), _) => Ok(Sizes::around(checked(m, widths)?, n_core)),
        (Slicing::Default, Grouping::Even) => Ok(Sizes::around(even(m, N_EVEN.min(m))?, n_core)),
        (&Slicing::Count(n), Grouping::Even) => Ok(Sizes::around(even(m, count(m, n)?)?, n_core)),
        (Slicing::Default, _) => {
            uneven([n_core, m - n_core], [N_CORE.min(n_core), N_AUXILIARY.min(m - n_core)])
        }
        // One slice holds all.
        (&Slicing::Count(1), _) => Ok(Sizes::around(vec![m], n_core)),
        (&Slicing::Count(n), _) => {
            // Never more slices than channels on either side, since there are not more slices than channels in all.
            let n = count(m, n)?;
            let n_core_slices = (n / 2).max(1).min(n_core);
            let n_auxiliary = (n - n_core_slices).min(m - n_core);
            uneven([n_core, m - n_core], [n - n_auxiliary, n_auxiliary])
        }
    }
}

fn count(m: usize, n: usize) -> Result<usize> {
    let most = m.min(MAX_SLICES);
    if (1..=most).contains(&n) {
        Ok(n)
    } else {
        Err(Error::setting("n_slices", format!("from 1 to {most}"), n))
    }
}

fn checked(m: usize, widths: &[usize]) -> Result<Vec<usize>> {
    let shown = || widths.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    if widths.is_empty() || widths.len() > MAX_SLICES {
        let found = format!("{} widths", widths.len());
        return Err(Error::setting("slices", format!("from 1 to {MAX_SLICES} widths"), found));
    }
    if widths.contains(&0) {
        return Err(Error::setting("slices", "at least one channel each", shown()));
    }
    let sum = widths.iter().fold(0usize, |sum, &n| sum.saturating_add(n));
    if sum != m {
        let found = format!("{}, which are {sum}", shown());
        return Err(Error::setting("slices", format!("widths of {m} channels in all"), found));
    }
    Ok(widths.to_vec())
}

fn even(m: usize, n: usize) -> Result<Vec<usize>> {
    shared(m, &vec![1.0; n])
}

fn uneven([n_core, n_rest]: [usize; 2], [core, auxiliary]: [usize; 2]) -> Result<Sizes> {
    let doubling: Vec<f64> = (0..core).map(|k| f64::from(k.saturating_sub(1) as u32).exp2()).collect();
    let mut slices = shared(n_core, &doubling)?;
    if n_rest > 0 {
        slices.extend(even(n_rest, auxiliary.max(1))?);
    }
    Ok(Sizes { slices, n_core_slices: core })
}

fn shared(n: usize, weights: &[f64]) -> Result<Vec<usize>> {
    Ok(apportion(weights, &ApportionConfig::new(n).with_minimum(1))?)
}

#[cfg(test)]
mod tests {
    use grouping_core::testing::assert_refused;

    use super::*;

    fn of(m: usize, n_core: usize, grouping: Grouping, slicing: Slicing) -> (Vec<usize>, usize) {
        let Sizes { slices, n_core_slices } = sizes(m, n_core, grouping, &slicing).expect("widths");
        (slices, n_core_slices)
    }

    #[test]
    fn the_core_doubles_and_the_rest_is_even() {
        let uneven = |m, n_core, slicing| of(m, n_core, Grouping::Uneven, slicing);
        assert_eq!(
            uneven(64, 16, Slicing::Default),
            (vec![4, 4, 8, 12, 12, 12, 12], 3),
            "the built-in model"
        );
        assert_eq!(uneven(320, 80, Slicing::Count(5)).0, [40, 40, 80, 80, 80], "two of five");
        assert_eq!(uneven(64, 16, Slicing::Count(1)), (vec![64], 1), "one slice is all core");
        assert_eq!(uneven(5, 5, Slicing::Count(4)), (vec![1, 1, 1, 2], 4), "all core");
        assert_eq!(uneven(3, 1, Slicing::Default), (vec![1, 1, 1], 1), "fewer channels than slices");
    }

    #[test]
    fn a_core_grows_to_the_edge_of_a_slice() {
        let (slices, n_core_slices) = of(64, 16, Grouping::Even, Slicing::Default);
        assert_eq!((&slices[..4], n_core_slices), (&[7, 7, 7, 7][..], 3), "ten even slices");
        let given = Slicing::Widths(vec![8, 8, 16, 32]);
        assert_eq!(of(64, 16, Grouping::Uneven, given.clone()).1, 2, "an edge");
        assert_eq!(of(64, 17, Grouping::Uneven, given).1, 3, "beyond an edge");
    }

    #[test]
    fn every_width_and_count_sums_to_all_channels() {
        for m in [1, 2, 7, 20, 64] {
            for n_core in 1..=m {
                for grouping in [Grouping::Even, Grouping::Uneven] {
                    for n in 1..=m {
                        let made = sizes(m, n_core, grouping, &Slicing::Count(n)).expect("widths");
                        assert_eq!(made.slices.len(), n, "slices of {m}, core {n_core}");
                        assert_eq!(made.slices.iter().sum::<usize>(), m, "channels in {n} slices");
                        assert!(made.slices.iter().all(|&n| n > 0), "an empty slice: {made:?}");
                        assert!(made.n_core() >= n_core, "a core of {n_core}: {made:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn widths_that_are_none_are_refused() {
        let refuse =
            |slicing: Slicing, words: &str| assert_refused(sizes(64, 16, Grouping::Uneven, &slicing), words);
        refuse(
            Slicing::Widths(vec![8, 8, 16]),
            "slices: expected widths of 64 channels in all, found 8,8,16, which are 32",
        );
        refuse(Slicing::Widths(vec![64, 0]), "at least one channel each");
        refuse(Slicing::Widths(vec![]), "from 1 to 64 widths");
        refuse(Slicing::Widths(vec![1; 65]), "found 65 widths");
        refuse(Slicing::Count(0), "n_slices: expected from 1 to 64, found 0");
        refuse(Slicing::Count(65), "from 1 to 64");
    }
}
