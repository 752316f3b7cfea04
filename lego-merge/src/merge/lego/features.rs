//! What is clustered: units as they are, or by direction; and the clusters that k-means finds among them.
//!
//! `(a, b)`, `(c·a, b/c)` and `(−a, −b)` are one update but different points. The balanced gauge takes the `c` that makes
//! `‖a‖ = ‖b‖`; the antipodal symmetry of k-means makes the signs one. Each is a diagonal scaling of the Gram matrices.

use grouping_core::cluster::Symmetry;
use serde::{Deserialize, Serialize};

use super::Lego;
use crate::msu::Units;

/// What is clustered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Features {
    /// The units themselves
    #[default]
    Raw,
    /// Their halves a and b, each scaled to length 1; means are still those of the units
    Normalized,
}

/// How the length of a unit is shared by its halves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Gauge {
    /// As in the files, with the square root of the scale in each half
    #[default]
    Raw,
    /// Rescaled to halves of equal length
    Balanced,
}

/// The clusters of a module's units.
#[derive(Debug, Clone)]
pub(crate) struct Grouping {
    /// Cluster of each unit, `[n]`.
    pub(crate) labels: Vec<usize>,
    /// Whether each unit counts negated, `[n]`.
    pub(crate) flipped: Vec<bool>,
    /// Sum of squared distances to the centroids.
    pub(crate) inertia: f64,
    /// The same for one cluster.
    pub(crate) total: f64,
}

impl Grouping {
    /// Members of each cluster that has any, clusters in the order of their first member.
    pub(crate) fn clusters(&self) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = vec![];
        let mut members: Vec<Vec<usize>> = vec![];
        for (unit, &label) in self.labels.iter().enumerate() {
            match order.iter().position(|&l| l == label) {
                Some(j) => members[j].push(unit),
                None => {
                    order.push(label);
                    members.push(vec![unit]);
                }
            }
        }
        members
    }
}

impl Lego {
    /// Groups units of `d` dimensions into `k` clusters, or each into its own where there are no more units.
    ///
    /// # Errors
    /// Those of k-means, for a given initialisation that does not fit.
    pub(crate) fn group(
        &self,
        units: &Units<'_>,
        k: usize,
        d: usize,
        seed: u64,
    ) -> grouping_core::Result<Grouping> {
        let n = units.len();
        let gram = match self.features {
            Features::Raw => units.gram()?,
            Features::Normalized => units.normalized_gram()?,
        };
        let trace: f64 = (0..n).map(|i| gram.at(i, i)).sum();
        let total = match self.symmetry {
            // The mean of a point and its opposite is 0.
            Symmetry::Antipodal => trace,
            _ => (trace - gram.values().iter().sum::<f64>() / n.max(1) as f64).max(0.0),
        };
        if k >= n {
            return Ok(Grouping { labels: (0..n).collect(), flipped: vec![false; n], inertia: 0.0, total });
        }
        let fit = self.k_means(k, d, seed).fit(&gram)?;
        let (labels, flipped) = (fit.labels().to_vec(), fit.flipped().to_vec());
        Ok(Grouping { labels, flipped, inertia: fit.inertia(), total })
    }
}
