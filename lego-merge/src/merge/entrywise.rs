//! Merging the adapters' coordinates in a common subspace, entry by entry: sum, TIES (arXiv 2306.01708) or DARE
//! (arXiv 2311.03099).
//!
//! TIES as in KnOTS's and Core Space's released code: each adapter keeps its largest values (`density`), the sign of an entry
//! is that of the sum of what is kept (where that is 0, the sign that most entries have), and the values of this sign are
//! averaged: `mₚ = Σ_{i: sgn(xᵢₚ) = γₚ} xᵢₚ / max(1, |{i: sgn(xᵢₚ) = γₚ}|)`. DARE: each value is kept with probability
//! `density` and divided by it, then all are added. Coordinates are `f32`, sums `f64`.
//!
//! Deviations: `⌊density·n⌋` values are kept, where the released code keeps one more; the share is taken within a module, as
//! in Core Space's code, where KnOTS's ranks the values of all modules together.

use grouping_core::seed::derive_seed;
use grouping_core::simd::{Lanes, Level, dispatch};

use super::Density;
use super::election::{MajoritySign, Tie, disjoint_mean};
use super::sparsify::{drop_and_rescale, keep_largest};

/// How coordinates are merged, entry by entry.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Entrywise {
    /// The sum (task arithmetic).
    Sum,
    /// Trim, elect a sign, average those that agree (TIES).
    Ties(Density),
    /// Drop at random, rescale, add (DARE).
    Dare(Density),
}

impl Entrywise {
    /// Merges one tensor an adapter, all of one length; adapter `i` draws from the `i`-th stream of `seed`.
    pub(super) fn merge(self, mut tensors: Vec<Vec<f32>>, seed: u64) -> Vec<f32> {
        match self {
            Self::Sum => sum(Level::detect(), &tensors),
            Self::Ties(density) => {
                tensors.iter_mut().for_each(|values| keep_largest(values, density));
                disjoint_mean(&tensors, &vec![1.0; tensors.len()], MajoritySign::Total, Tie::MostPlaces)
            }
            Self::Dare(density) => {
                for (i, values) in tensors.iter_mut().enumerate() {
                    drop_and_rescale(values, density, derive_seed(seed, i as u64));
                }
                sum(Level::detect(), &tensors)
            }
        }
    }
}

/// Entries that are summed at once: all sources' blocks stay in the first-level cache.
const BLOCK: usize = 1024;

dispatch!(sum = sum_kernel(tensors: &[Vec<f32>]) -> Vec<f32>);

#[inline(always)]
fn sum_kernel<L: Lanes>(tensors: &[Vec<f32>]) -> Vec<f32> {
    let mut out = vec![0f32; tensors.first().map_or(0, Vec::len)];
    for (start, out) in (0..).step_by(BLOCK).zip(out.chunks_mut(BLOCK)) {
        let mut sums = [0f64; BLOCK];
        for tensor in tensors {
            let values = &tensor[start..start + out.len()];
            sums.iter_mut().zip(values).for_each(|(sum, &v)| *sum += f64::from(v));
        }
        out.iter_mut().zip(&sums).for_each(|(o, &s)| *o = s as f32);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tensor_is_trimmed_by_itself() {
        let density = Density::new(0.5).expect("a density");
        let tensors = vec![vec![4., 3., 1., 1.], vec![0.1, 0.1, 0.3, 0.4]];
        assert_eq!(Entrywise::Ties(density).merge(tensors, 0), [4., 3., 0.3, 0.4], "halves differ");
    }

    #[test]
    fn long_tensors_are_summed_as_short_ones() {
        let long: Vec<f32> = (0..3 * BLOCK + 7).map(|i| (i % 11) as f32 - 5.0).collect();
        let triple: Vec<f32> = long.iter().map(|v| 3.0 * v).collect();
        let summed = Entrywise::Sum.merge(vec![long.clone(), triple], 0);
        assert!(summed.iter().zip(&long).all(|(s, v)| *s == 4.0 * v), "their sum");
    }
}
