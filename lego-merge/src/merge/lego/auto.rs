//! The number of clusters by silhouette (Rousseeuw 1987): the `k` whose clusters stand apart most clearly.

use grouping_core::cluster::{KMeansConfig, silhouette};

use crate::merge::ModuleSources;
use crate::msu::Units;

/// Runs of k-means for each number of clusters: a single bad one could hide the clearest number.
const N_RESTARTS: usize = 3;

/// The number of clusters, from 2 to one less than there are units, whose mean silhouette is the greatest; 1 where there
/// are fewer than 3 units. The units are clustered as they are, with their scales and weights; where nothing stands apart,
/// the least number, 2, is the usual answer, and any other means as little.
pub(crate) fn clearest_number_of_clusters(module: &ModuleSources<'_>) -> grouping_core::Result<usize> {
    let sources = module.sources.iter().map(|(f, weight)| (f, weight * f.scale));
    let units = Units::with_grams(sources, module.grams()?)?;
    let gram = units.gram()?;
    let mut best = (1, f64::NEG_INFINITY);
    for k in 2..units.len() {
        let fit = KMeansConfig::new(k).with_seed(module.seed).with_n_restarts(N_RESTARTS).fit_gram(&gram)?;
        let score = silhouette(&gram, fit.labels())?;
        if score > best.1 {
            best = (k, score);
        }
    }
    Ok(best.0)
}
