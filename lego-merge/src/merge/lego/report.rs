//! How a module's units were grouped.

use serde::Serialize;

use super::Grouping;
use crate::msu::Units;

/// How a module's units were grouped.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ClusterReport {
    /// Units in each cluster, clusters in the order of their first unit.
    pub sizes: Vec<usize>,
    /// Sources that have a unit in each cluster, by their position among the module's sources.
    pub sources: Vec<Vec<usize>>,
    /// Number of clusters with units of several sources.
    pub n_shared: usize,
    /// Number of units that were averaged negated.
    pub n_flipped: usize,
    /// Sum of squared distances to the centroids, of what was clustered (see [`Features`](super::Features)).
    pub inertia: f64,
    /// The inertia as a share of that of one cluster; 0 when all units are equal. Where signs do not matter, of the sum of
    /// squared lengths.
    pub inertia_share: f64,
}

impl ClusterReport {
    pub(crate) fn new(units: &Units<'_>, grouping: &Grouping) -> Self {
        let source: Vec<usize> = units.sources().collect();
        let clusters = grouping.clusters();
        let of = |members: &Vec<usize>| {
            let mut sources: Vec<usize> = members.iter().map(|&i| source[i]).collect();
            sources.sort_unstable();
            sources.dedup();
            sources
        };
        let sources: Vec<Vec<usize>> = clusters.iter().map(of).collect();
        Self {
            sizes: clusters.iter().map(Vec::len).collect(),
            n_shared: sources.iter().filter(|s| s.len() > 1).count(),
            sources,
            n_flipped: grouping.flipped.iter().filter(|&&flip| flip).count(),
            inertia: grouping.inertia,
            inertia_share: if grouping.total > 0.0 { grouping.inertia / grouping.total } else { 0.0 },
        }
    }
}
