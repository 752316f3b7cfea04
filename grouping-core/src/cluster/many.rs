//! Many independent problems in one call, side by side on the current `rayon` pool.
//!
//! Problem `i` has the seed `seed + i` (wrapping), so its result is that of a fit alone with that seed, whatever the
//! schedule; results come in the order of the problems, and so does the first error.

use rayon::prelude::*;

use super::config::KMeansConfig;
use super::partition::{Clusters, Partition};
use crate::Result;
use crate::low_rank::Gram;
use crate::matrix::MatrixRef;

impl KMeansConfig {
    /// [`Self::fit_gram`] on each problem; problem `i` is seeded with `seed + i`.
    ///
    /// # Errors
    /// Those of the first problem that fails, in the order given.
    ///
    /// ```
    /// use grouping_core::{cluster::KMeansConfig, low_rank::row_gram, matrix::MatrixRef};
    /// let near = row_gram(&[MatrixRef::new(3, 1, &[0., 1., 9.])?])?;
    /// let far = row_gram(&[MatrixRef::new(3, 1, &[0., 8., 9.])?])?;
    /// let clusters = KMeansConfig::new(2).fit_gram_many(&[near, far])?;
    /// assert_eq!(clusters[0].labels()[0], clusters[0].labels()[1]);
    /// assert_eq!(clusters[1].labels()[1], clusters[1].labels()[2]);
    /// # Ok::<(), grouping_core::Error>(())
    /// ```
    pub fn fit_gram_many(&self, problems: &[Gram]) -> Result<Vec<Partition>> {
        self.each(problems, |config, gram| config.fit_gram(gram))
    }

    /// [`Self::fit`] on each problem; problem `i` is seeded with `seed + i`.
    ///
    /// # Errors
    /// Those of the first problem that fails, in the order given.
    pub fn fit_many(&self, problems: &[MatrixRef<'_>]) -> Result<Vec<Clusters>> {
        self.each(problems, |config, points| config.fit(*points))
    }

    fn each<P: Sync, C: Send>(
        &self,
        problems: &[P],
        fit: impl Fn(&Self, &P) -> Result<C> + Sync,
    ) -> Result<Vec<C>> {
        let results: Vec<Result<C>> = problems
            .par_iter()
            .enumerate()
            .map(|(i, problem)| {
                let seed = self.seed.wrapping_add(i as u64);
                fit(&self.clone().with_seed(seed), problem)
            })
            .collect();
        results.into_iter().collect()
    }
}
