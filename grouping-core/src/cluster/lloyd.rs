//! Lloyd's algorithm with restarts, once for all forms of the points.
//!
//! `labels_i = argmin_j ‖x_i − c_j‖²` (ties: lowest `j`), then `c_j` = mean of the members, until the labels or the
//! centroids stand still. The forms (coordinates, Gram matrix, tensor) differ only in how they take distances and
//! means, so the same settings give the same labels in each, up to rounding.
//!
//! An emptied cluster takes the point that lies farthest from its own centroid (as scikit-learn does), never the only
//! member of another cluster: no cluster is ever empty in a result, even with fewer distinct points than clusters. On
//! request it keeps its centroid instead ([`Space::reseeds`]).

use super::config::{Init, KMeansConfig};
use super::seeding;
use super::space::{Assignment, Space};
use crate::Result;

/// The end of a run.
#[derive(Debug)]
pub(super) struct Run<C> {
    pub(super) labels: Vec<usize>,
    pub(super) centroids: C,
    /// `Σ_i ‖x_i − c‖²`.
    pub(super) inertia: f64,
    pub(super) n_iters: usize,
    pub(super) converged: bool,
}

/// Relative improvement that a later restart needs.
const RESTART_GAIN: f64 = 1e-6;

/// The best of all restarts by `engine`, which takes the first centroids. `given` are those where the configuration
/// has them by coordinates.
pub(super) fn best_run<S: Space>(
    space: &S,
    config: &KMeansConfig,
    given: Option<S::Centroids>,
    engine: impl Fn(S::Centroids) -> Result<Run<S::Centroids>>,
) -> Result<Run<S::Centroids>> {
    match (&config.init, given) {
        (_, Some(centroids)) => return engine(centroids),
        (Init::Labels(labels), None) => return engine(space.means(labels, config.n_clusters, None)?),
        (Init::Points(indices), None) => return engine(space.centroids_at(indices)?),
        _ => {}
    }
    let start = |restart| engine(space.centroids_at(&seeding::draw_points(space, config, restart)?)?);
    let mut best = start(0)?;
    for restart in 1..config.n_restarts {
        let next = start(restart)?;
        if next.inertia < best.inertia * (1.0 - RESTART_GAIN) {
            best = next;
        }
    }
    Ok(best)
}

/// One run of this crate's own engine.
pub(super) fn run<S: Space>(
    space: &S,
    config: &KMeansConfig,
    first: S::Centroids,
) -> Result<Run<S::Centroids>> {
    let (n, k) = (space.n_points(), config.n_clusters);
    let reseeds = space.reseeds();
    let limit = config.tolerance * config.tolerance * space.spread();
    let mut now = Assignment { labels: vec![usize::MAX; n], squared_distances: vec![0.0; n] };
    let mut labels_before = now.labels.clone();
    let (mut centroids, mut n_iters, mut converged, mut standing) = (first, 0, false, false);
    while n_iters < config.max_iters && !converged {
        n_iters += 1;
        space.assign(&centroids, &mut now)?;
        let reseeded = reseeds && reseed_empty(&mut now, k);
        if now.labels == labels_before && space.stands(&centroids, &now.labels) {
            (converged, standing) = (true, true);
            break;
        }
        labels_before.copy_from_slice(&now.labels);
        let means = space.means(&now.labels, k, Some(&centroids))?;
        let shift = space.squared_shift(&centroids, &means)?;
        centroids = means;
        // With tolerance 0 only standing labels end a run: a shift of 0 may be rounding.
        converged = config.tolerance > 0.0 && shift <= limit && !reseeded;
    }
    if !standing {
        // The labels follow the last move of the centroids; if that leaves a cluster empty, its centroid and that of
        // the cluster that gives a point follow the labels.
        space.assign(&centroids, &mut now)?;
        if reseeds && reseed_empty(&mut now, k) {
            centroids = space.means(&now.labels, k, Some(&centroids))?;
        }
    }
    let inertia = space.own_distances(&centroids, &now)?.iter().sum();
    Ok(Run { labels: now.labels, centroids, inertia, n_iters, converged })
}

/// Gives each empty cluster the farthest point that is not alone in its own (ties: lowest index); whether there was
/// any.
fn reseed_empty(now: &mut Assignment, k: usize) -> bool {
    let mut sizes = vec![0usize; k];
    now.labels.iter().for_each(|&l| sizes[l] += 1);
    let empty: Vec<usize> = (0..k).filter(|&j| sizes[j] == 0).collect();
    if empty.is_empty() {
        return false;
    }
    let distance = &mut now.squared_distances;
    let mut far: Vec<usize> = (0..distance.len()).collect();
    far.sort_by(|&a, &b| distance[b].total_cmp(&distance[a]));
    let mut far = far.into_iter();
    for j in empty {
        // There are at least as many points as clusters, so while one is empty another has two members.
        let Some(i) = far.find(|&i| sizes[now.labels[i]] > 1) else { break };
        sizes[now.labels[i]] -= 1;
        sizes[j] = 1;
        now.labels[i] = j;
        distance[i] = 0.0;
    }
    true
}
