//! The rank of a merged module: a number, or a rule by which each module finds its own from its sources.
//!
//! With the singular values `σ₁ ≥ σ₂ ≥ …` of the weighted sum `Σ wᵢ·sᵢ·Bᵢ·Aᵢ`:
//! - `energy:e`: the least `k` with `Σ_{j≤k} σⱼ² ≥ e·Σ σⱼ²`;
//! - `ratio:t`: the number of `σⱼ ≥ t·σ₁`;
//! - `auto`: the `k` of the greatest mean silhouette of the units' clusters (Rousseeuw, 1987).
//!
//! A rule costs one more look at every module; the ranks that it finds are written as `rank_pattern`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ModuleSources;
use crate::{Error, Result};

/// How the rank of the result is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
#[non_exhaustive]
pub enum RankRule {
    /// This rank, as far as a module has units.
    Fixed(usize),
    /// The least rank that keeps this share of the weighted sum's squared norm, above 0 and at most 1.
    Energy(f64),
    /// As many as there are singular values of at least this share of the largest, above 0 and at most 1.
    Ratio(f64),
    /// The number of clusters of greatest mean silhouette.
    Auto,
}

impl From<usize> for RankRule {
    fn from(rank: usize) -> Self {
        Self::Fixed(rank)
    }
}

impl FromStr for RankRule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let share = |text: &str| text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
        let rule = match text.split_once(':') {
            None if text == "auto" => Some(Self::Auto),
            None => text.parse().ok().map(Self::Fixed),
            Some(("energy", value)) => share(value).map(Self::Energy),
            Some(("ratio", value)) => share(value).map(Self::Ratio),
            Some(_) => None,
        };
        let expected = "a number, energy:SHARE or ratio:SHARE with a share above 0 and at most 1, or auto";
        rule.ok_or_else(|| Error::setting("rank", expected, text))
    }
}

impl fmt::Display for RankRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(rank) => rank.fmt(f),
            Self::Energy(share) => write!(f, "energy:{share}"),
            Self::Ratio(share) => write!(f, "ratio:{share}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

/// As in files: a number, or the rule's text.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Rank(usize),
    Rule(String),
}

impl From<RankRule> for Written {
    fn from(rule: RankRule) -> Self {
        if let RankRule::Fixed(rank) = rule { Self::Rank(rank) } else { Self::Rule(rule.to_string()) }
    }
}

impl TryFrom<Written> for RankRule {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        match written {
            Written::Rank(rank) => Ok(Self::Fixed(rank)),
            Written::Rule(text) => text.parse(),
        }
    }
}

impl RankRule {
    /// Whether modules must be read to know their ranks.
    pub(super) fn needs_values(self) -> bool {
        !matches!(self, Self::Fixed(_))
    }

    /// The rank of one module, at least 1 and at most its number of units.
    ///
    /// # Errors
    /// Those of the decomposition, for factors that are not finite.
    pub(super) fn rank(self, module: &ModuleSources<'_>) -> grouping_core::Result<usize> {
        let rank = match self {
            Self::Fixed(rank) => rank,
            Self::Energy(share) => {
                let svd = module.svd()?;
                let values = svd.singular_values();
                let lost = (1.0 - share) * values.iter().map(|s| s * s).sum::<f64>();
                // Summed from the smallest, so that a share of 1 keeps all that is not zero.
                let mut tail = 0.0;
                let dropped = values.iter().rev().take_while(|s| {
                    tail += **s * **s;
                    tail <= lost
                });
                values.len() - dropped.count()
            }
            Self::Ratio(share) => {
                let svd = module.svd()?;
                let values = svd.singular_values();
                let least = share * values.first().copied().unwrap_or(0.0);
                values.iter().filter(|s| **s >= least && **s > 0.0).count()
            }
            Self::Auto => super::lego::clearest_number_of_clusters(module)?,
        };
        Ok(rank.clamp(1, module.n_units().max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_written() {
        for text in ["8", "energy:0.95", "ratio:0.01", "auto"] {
            let rule: RankRule = text.parse().expect("a rule");
            assert_eq!(rule.to_string(), text, "written as read");
            let json = serde_json::to_string(&rule).expect("JSON");
            assert_eq!(serde_json::from_str::<RankRule>(&json).expect("a rule"), rule, "{json}");
        }
        for text in ["", "-1", "energy", "energy:0", "energy:1.5", "ratio:NaN", "silhouette", "8.5"] {
            let error = text.parse::<RankRule>().expect_err("refused");
            assert!(error.to_string().contains("rank"), "{error}");
        }
    }
}
