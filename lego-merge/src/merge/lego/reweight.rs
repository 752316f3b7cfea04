//! Dual reweighting: centroids rescaled to the mean norm of their members, and the factor `√(r/k)` on the output.

use std::fmt;
use std::str::FromStr;

use grouping_core::matrix::Matrix;
use grouping_core::stats::peaks::{column_peaks, row_peaks};
use serde::{Deserialize, Serialize};

use crate::merge::ModuleSources;
use crate::msu::Units;
use crate::{Error, Result};

/// Whether a reweighting is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reweighting {
    /// Applied.
    On,
    /// Left out.
    Off,
}

/// The norm whose mean over the members of a cluster its centroid is rescaled to have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Norm {
    /// The greatest magnitude, over both halves
    #[default]
    Inf,
    /// The length, of both halves together
    L2,
    /// Centroids stay as they are
    None,
}

impl Norm {
    /// What the mean of each cluster is multiplied by, `[clusters.len()]`: `means` are their halves `A [k, d_in]` and `B [d_out, k]`.
    pub(super) fn factors(
        self,
        units: &Units<'_>,
        clusters: &[Vec<usize>],
        (a, b): &(Matrix, Matrix),
    ) -> Vec<f64> {
        let (norms, found) = match self {
            Self::Inf => {
                let peaks = row_peaks(a.view()).into_iter().zip(column_peaks(b.view()));
                (units.max_norms(), peaks.map(|(a, b)| f64::from(a.max(b))).collect::<Vec<_>>())
            }
            Self::L2 => {
                let square = |v: &f32| f64::from(*v) * f64::from(*v);
                let mut squares: Vec<f64> =
                    (0..clusters.len()).map(|j| a.view().row(j).iter().map(square).sum()).collect();
                for row in b.values().chunks_exact(b.n_cols().max(1)) {
                    squares.iter_mut().zip(row).for_each(|(sum, v)| *sum += square(v));
                }
                (units.l2_norms(), squares.into_iter().map(f64::sqrt).collect())
            }
            Self::None => return vec![1.0; clusters.len()],
        };
        let factor = |(members, found): (&Vec<usize>, f64)| {
            let wanted = members.iter().map(|&i| norms[i]).sum::<f64>() / members.len().max(1) as f64;
            if found > 0.0 { wanted / found } else { 1.0 }
        };
        clusters.iter().zip(found).map(factor).collect()
    }
}

/// The rank `r` in the factor `√(r/k)`, from the ranks of a module's sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
#[non_exhaustive]
pub enum RefRank {
    /// Their mean.
    #[default]
    Mean,
    /// Their median.
    Median,
    /// The largest.
    Max,
    /// This rank, at least 1.
    Rank(usize),
}

impl RefRank {
    pub(super) fn of(self, module: &ModuleSources<'_>) -> f64 {
        let mut ranks: Vec<usize> = module.sources.iter().map(|(f, _)| f.a.n_rows()).collect();
        ranks.sort_unstable();
        let n = ranks.len();
        let rank = |i: usize| ranks.get(i).map_or(0.0, |&r| r as f64);
        match self {
            Self::Mean => ranks.iter().sum::<usize>() as f64 / n.max(1) as f64,
            Self::Median => (rank(n.saturating_sub(1) / 2) + rank(n / 2)) / 2.0,
            Self::Max => rank(n.saturating_sub(1)),
            Self::Rank(rank) => rank as f64,
        }
    }
}

impl FromStr for RefRank {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "mean" => Ok(Self::Mean),
            "median" => Ok(Self::Median),
            "max" => Ok(Self::Max),
            _ => match text.parse() {
                Ok(rank) if rank > 0 => Ok(Self::Rank(rank)),
                _ => {
                    let expected = "mean, median, max or a number of at least 1";
                    Err(Error::setting("ref_rank", expected, text))
                }
            },
        }
    }
}

impl fmt::Display for RefRank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mean => f.write_str("mean"),
            Self::Median => f.write_str("median"),
            Self::Max => f.write_str("max"),
            Self::Rank(rank) => rank.fmt(f),
        }
    }
}

/// As in files: a number or a word.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Rank(usize),
    Word(String),
}

impl From<RefRank> for Written {
    fn from(rank: RefRank) -> Self {
        if let RefRank::Rank(rank) = rank { Self::Rank(rank) } else { Self::Word(rank.to_string()) }
    }
}

impl TryFrom<Written> for RefRank {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        match written {
            Written::Rank(rank) => rank.to_string().parse(),
            Written::Word(text) => text.parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_ranks_are_read_as_they_are_written() {
        for text in ["mean", "median", "max", "8"] {
            let rank: RefRank = text.parse().expect("a reference rank");
            assert_eq!(rank.to_string(), text, "written as read");
            let json = serde_json::to_string(&rank).expect("JSON");
            assert_eq!(serde_json::from_str::<RefRank>(&json).expect("a reference rank"), rank, "{json}");
        }
        for text in ["", "0", "-1", "mode", "2.5"] {
            let error = text.parse::<RefRank>().expect_err("refused");
            assert!(error.to_string().contains("ref_rank"), "{error}");
        }
    }
}
