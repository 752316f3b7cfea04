//! LoRA-LEGO (arXiv 2409.16167): cluster the units of all adapters, one merged unit a cluster.
//!
//! k-means over the `n` units of a module (see [`crate::msu`]) in Gram space; centroid `μⱼ` gives row `j` of `A'` and column
//! `j` of `B'`. Dual reweighting:
//! - parameter: `μⱼ ← μⱼ · mean_{s∈Sⱼ} ‖s‖_∞ / ‖μⱼ‖_∞`, because the mean of `m` nearly orthogonal units of norm `ρ` has norm
//!   about `ρ/√m`;
//! - output: `ΔW ← ΔW·√(r/k)`, `r` the mean rank of the module's sources, because the variance of the output grows with `k`.
//!
//! Cost: the Gram matrix, `O(n²·(d_in + d_out))`; an iteration is free of `d`.
//! It loses to `svd` at the same rank once one global scale is tuned for both (see the experiment `lego-merge/multitask`).
//!
//! Deviations: the paper's text leaves the folding of scales, weights, the norm and the treatment of unequal ranks open;
//! scales and weights are folded into the units, which then count equally, and `k = n` keeps every unit as it is.

use grouping_core::cluster::{KMeansConfig, silhouette};
use grouping_core::low_rank::Gram;
use grouping_core::matrix::Matrix;
use serde::Serialize;

use super::{MergeMethod, MergedModule, ModuleSources, RankChoice};
use crate::msu::Units;

/// Whether a reweighting is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reweighting {
    /// Applied.
    On,
    /// Left out.
    Off,
}

/// The method `lego`.
#[derive(Debug, Clone, Copy)]
pub struct Lego {
    parameter: Reweighting,
    output: Reweighting,
    n_restarts: usize,
}

impl Default for Lego {
    /// Both reweightings, 10 restarts.
    fn default() -> Self {
        Self { parameter: Reweighting::On, output: Reweighting::On, n_restarts: 10 }
    }
}

impl Lego {
    /// Switches the rescaling of centroids to their members' mean norm.
    pub fn with_parameter_reweighting(mut self, parameter: Reweighting) -> Self {
        self.parameter = parameter;
        self
    }

    /// Switches the factor `√(r/k)`.
    pub fn with_output_reweighting(mut self, output: Reweighting) -> Self {
        self.output = output;
        self
    }

    /// Merged factors for given labels, one a unit, `[n]`; the clusters are numbered by their first unit.
    fn reconstruct(
        &self,
        units: &Units<'_>,
        labels: &[usize],
        module: &ModuleSources<'_>,
    ) -> (Matrix, Matrix, Vec<Vec<usize>>) {
        let clusters = clusters(labels);
        let k = module.rank;
        let mean_rank = units.len() as f64 / module.sources.len() as f64;
        let gain = if self.output == Reweighting::On { (mean_rank / k as f64).sqrt() } else { 1.0 };
        let max_norms = units.max_norms();
        let merged: Vec<_> = clusters
            .iter()
            .zip(units.means(&clusters))
            .map(|(members, (mut a, mut b))| {
                let norm = a.iter().chain(&b).fold(0.0, |m: f64, v| m.max(v.abs()));
                let mut scale = 1.0;
                if self.parameter == Reweighting::On && norm > 0.0 {
                    let mean = members.iter().map(|&i| max_norms[i]).sum::<f64>() / members.len() as f64;
                    scale = mean / norm;
                }
                a.iter_mut().for_each(|v| *v *= scale);
                b.iter_mut().for_each(|v| *v *= scale * gain);
                (a, b)
            })
            .collect();
        let d_in = merged.first().map_or(0, |(a, _)| a.len());
        let d_out = merged.first().map_or(0, |(_, b)| b.len());
        let entry = |unit: Option<&Vec<f64>>, i: usize| unit.map_or(0.0, |u| u[i] as f32);
        let a = Matrix::from_fn(k, d_in, |j, i| entry(merged.get(j).map(|m| &m.0), i));
        let b = Matrix::from_fn(d_out, k, |i, j| entry(merged.get(j).map(|m| &m.1), i));
        (a, b, clusters)
    }
}

/// How a module's units were grouped.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ClusterReport {
    /// Units in each cluster.
    pub sizes: Vec<usize>,
    /// Sources that have a unit in each cluster.
    pub sources: Vec<Vec<usize>>,
    /// Sum of squared distances to the centroids.
    pub inertia: f64,
    /// The inertia as a share of the units' variance about their common mean; 0 when all units are equal.
    pub inertia_share: f64,
}

/// Groups the units whose inner products `gram` holds and says how: `k` clusters of at most as many units.
pub(crate) fn group(
    gram: &Gram,
    k: usize,
    n_restarts: usize,
    seed: u64,
) -> grouping_core::Result<(Vec<usize>, f64, f64)> {
    let n = gram.len();
    let total: f64 = (0..n).map(|i| gram.at(i, i)).sum();
    let mean = gram.values().iter().sum::<f64>() / n.max(1) as f64;
    let variance = (total - mean).max(0.0);
    if k >= n {
        return Ok(((0..n).collect(), 0.0, variance));
    }
    let fit = KMeansConfig::new(k).with_seed(seed).with_n_restarts(n_restarts).fit_gram(gram)?;
    Ok((fit.labels().to_vec(), fit.inertia(), variance))
}

/// The number of clusters, from 2 to one less than there are units, whose mean silhouette is the greatest; 1 where there
/// are fewer than 3 units.
pub(super) fn clearest_number_of_clusters(module: &ModuleSources<'_>) -> grouping_core::Result<usize> {
    let units = Units::new(module.sources.iter().map(|(f, w)| (f, *w)));
    let gram = units.gram_from(module.grams()?)?;
    let mut best = (1, f64::NEG_INFINITY);
    for k in 2..units.len() {
        let fit = KMeansConfig::new(k).with_seed(module.seed).with_n_restarts(1).fit_gram(&gram)?;
        let score = silhouette(&gram, fit.labels())?;
        if score > best.1 {
            best = (k, score);
        }
    }
    Ok(best.0)
}

pub(crate) fn cluster_report(
    units: &Units<'_>,
    clusters: &[Vec<usize>],
    inertia: f64,
    variance: f64,
) -> ClusterReport {
    let source: Vec<usize> = units.sources().collect();
    let of = |members: &Vec<usize>| {
        let mut sources: Vec<usize> = members.iter().map(|&i| source[i]).collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    };
    ClusterReport {
        sizes: clusters.iter().map(Vec::len).collect(),
        sources: clusters.iter().map(of).collect(),
        inertia,
        inertia_share: if variance > 0.0 { inertia / variance } else { 0.0 },
    }
}

/// Members of each cluster that has any, clusters in the order of their first member.
pub(crate) fn clusters(labels: &[usize]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = vec![];
    let mut members: Vec<Vec<usize>> = vec![];
    for (unit, &label) in labels.iter().enumerate() {
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

impl MergeMethod for Lego {
    fn name(&self) -> &'static str {
        "lego"
    }

    fn rank(&self, choice: &RankChoice<'_>) -> usize {
        choice.wanted_or_largest()
    }

    fn takes_rank(&self) -> bool {
        true
    }

    fn merge(&self, module: &ModuleSources<'_>) -> grouping_core::Result<MergedModule> {
        let units = Units::new(module.sources.iter().map(|(f, w)| (f, *w)));
        let gram = units.gram_from(module.grams()?)?;
        let (labels, inertia, variance) = group(&gram, module.rank, self.n_restarts, module.seed)?;
        let (a, b, clusters) = self.reconstruct(&units, &labels, module);
        let mut merged = MergedModule::new(a, b);
        merged.clusters = Some(cluster_report(&units, &clusters, inertia, variance));
        Ok(merged)
    }
}
