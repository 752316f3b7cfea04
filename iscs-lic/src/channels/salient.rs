//! How many channels are salient: the size of the core.
//!
//! | rule | the core |
//! |---|---|
//! | `share=p` | the ⌈p·M⌉ greatest scores; 0.25 is the one share that the paper's second version names |
//! | `deviations=k` | the scores above `mean + k·std` |
//! | `mass=p` | the fewest greatest scores that make p of their sum |
//!
//! A core has at least one channel and at most all. It depends on the scores and not on their order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::normalisation::mean_and_deviation;
use crate::{Error, Result};

/// A rule for the size of the core.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Core {
    /// This share of the channels.
    Share(f64),
    /// Channels whose score is this many standard deviations above the mean.
    Deviations(f64),
    /// As few channels as make this share of the sum of all scores. Scores below zero count as zero.
    Mass(f64),
}

impl Default for Core {
    /// A quarter of the channels.
    fn default() -> Self {
        Self::Share(0.25)
    }
}

/// What a product of a share and a count may be off by.
const ROUNDING: f64 = 1e-9;

impl Core {
    /// The number of channels in the core, from 1 to all; 0 of no channels.
    ///
    /// ```
    /// use iscs_lic::channels::Core;
    ///
    /// let scores = [9.0, 0.0, 1.0, 5.0, 0.0];
    /// assert_eq!(Core::default().size(&scores), 2);
    /// assert_eq!(Core::Deviations(0.5).size(&scores), 2);
    /// assert_eq!(Core::Mass(0.9).size(&scores), 2);
    /// assert_eq!("mass=0.95".parse::<Core>()?.size(&scores), 3);
    /// # Ok::<(), iscs_lic::Error>(())
    /// ```
    pub fn size(&self, scores: &[f64]) -> usize {
        let n = scores.len();
        let size = match *self {
            // `as` cuts what is out of range, and makes nothing of NaN.
            Self::Share(share) => (share * n as f64 - ROUNDING).ceil() as usize,
            Self::Deviations(k) => {
                let (mean, deviation) = mean_and_deviation(scores);
                scores.iter().filter(|&&score| score > mean + k * deviation).count()
            }
            Self::Mass(share) => {
                let mut sorted: Vec<f64> = scores.iter().map(|score| score.max(0.0)).collect();
                sorted.sort_by(|a, b| b.total_cmp(a));
                let wanted = share * sorted.iter().sum::<f64>() * (1.0 - ROUNDING);
                let sums = sorted.iter().scan(0.0, |sum, score| {
                    *sum += score;
                    Some(*sum)
                });
                sums.take_while(|sum| *sum < wanted).count() + 1
            }
        };
        size.clamp(1, n.max(1)).min(n)
    }
}

impl fmt::Display for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => write!(f, "share={share}"),
            Self::Deviations(k) => write!(f, "deviations={k}"),
            Self::Mass(share) => write!(f, "mass={share}"),
        }
    }
}

impl FromStr for Core {
    type Err = Error;

    /// Reads what [`Display`](fmt::Display) writes.
    ///
    /// # Errors
    /// [`Error::Core`] for another rule, a share that is not above 0 and at most 1, and a number that is not finite.
    fn from_str(text: &str) -> Result<Self> {
        let refuse = |expected: &str| Error::setting("core", expected, text);
        let rules = "share=P, deviations=K or mass=P";
        let (rule, number) = text.split_once('=').ok_or_else(|| refuse(rules))?;
        let number: f64 = number.parse().map_err(|_| refuse("a number behind the `=`"))?;
        let share = |rule: fn(f64) -> Self| {
            let is_share = number > 0.0 && number <= 1.0;
            if is_share { Ok(rule(number)) } else { Err(refuse("a share above 0 and at most 1")) }
        };
        match rule {
            "share" => share(Self::Share),
            "mass" => share(Self::Mass),
            "deviations" if number.is_finite() => Ok(Self::Deviations(number)),
            "deviations" => Err(refuse("a finite number of standard deviations")),
            _ => Err(refuse(rules)),
        }
    }
}

#[cfg(test)]
mod tests {
    use grouping_core::testing::assert_refused;

    use super::*;

    #[test]
    fn a_core_has_one_channel_at_least_and_all_at_most() {
        let even = [1.0; 8];
        for (core, size) in [
            (Core::Share(1e-12), 1),
            (Core::Share(f64::NAN), 1),
            (Core::Share(7.0), 8),
            (Core::Deviations(0.5), 1),
            (Core::Deviations(-1.0), 1),
            (Core::Mass(0.5), 4),
            (Core::Mass(1.0), 8),
        ] {
            assert_eq!(core.size(&even), size, "{core} of equal scores");
            assert_eq!(core.size(&[]), 0, "{core} of nothing");
        }
        assert_eq!(Core::Mass(0.9).size(&[0.0; 5]), 1, "a sum of zero");
        assert_eq!(Core::Mass(1.0).size(&[-3.0, 2.0, 1.0]), 2, "scores below zero");
    }

    #[test]
    fn rounding_adds_no_channel() {
        // In floating point 0.07 · 100 lies above 7.
        assert_eq!(Core::Share(0.07).size(&[1.0; 100]), 7, "seven of a hundred");
        for n in 1..=400 {
            assert_eq!(Core::Share(0.25).size(&vec![1.0; n]), n.div_ceil(4), "a quarter of {n}");
        }
    }

    #[test]
    fn rules_are_read_as_they_are_written() {
        for core in [Core::Share(0.25), Core::Deviations(-0.5), Core::Mass(1.0)] {
            assert_eq!(core.to_string().parse::<Core>().expect("a rule"), core, "{core}");
        }
        for (text, words) in [
            ("0.25", "core: expected share=P, deviations=K or mass=P, found 0.25"),
            ("top=0.25", "expected share=P, deviations=K or mass=P"),
            ("share=a quarter", "a number behind"),
            ("share=0", "a share above 0 and at most 1"),
            ("mass=1.5", "a share above 0 and at most 1"),
            ("share=NaN", "a share above 0 and at most 1"),
            ("deviations=inf", "a finite number"),
        ] {
            assert_refused(text.parse::<Core>(), words);
        }
    }
}
