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
use pulp::{Arch, Simd, WithSimd};

use super::Density;
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
        let pass = match self {
            Self::Sum => Pass::Sum(&tensors),
            Self::Ties(density) => {
                tensors.iter_mut().for_each(|values| keep_largest(values, density));
                Pass::MeanOfAgreeing(&tensors)
            }
            Self::Dare(density) => {
                for (i, values) in tensors.iter_mut().enumerate() {
                    drop_and_rescale(values, density, derive_seed(seed, i as u64));
                }
                Pass::Sum(&tensors)
            }
        };
        Arch::new().dispatch(pass)
    }
}

/// A pass over all tensors, compiled for the best instructions that the CPU has: it is inlined into what is compiled for
/// each instruction set.
enum Pass<'a> {
    Sum(&'a [Vec<f32>]),
    MeanOfAgreeing(&'a [Vec<f32>]),
}

impl WithSimd for Pass<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<f32> {
        match self {
            Self::Sum(tensors) => sum(tensors),
            Self::MeanOfAgreeing(tensors) => mean_of_agreeing(tensors),
        }
    }
}

/// Entries that are summed at once: all sources' blocks stay in the first-level cache.
const BLOCK: usize = 1024;

#[inline(always)]
fn sum(tensors: &[Vec<f32>]) -> Vec<f32> {
    let mut out = vec![0f32; tensors.first().map_or(0, Vec::len)];
    let mut sums = [0f64; BLOCK];
    for (start, out) in (0..).step_by(BLOCK).zip(out.chunks_mut(BLOCK)) {
        add_block(&mut sums, tensors, start, out.len());
        out.iter_mut().zip(&sums).for_each(|(o, &s)| *o = s as f32);
    }
    out
}

/// `Σᵢ xᵢₚ` for the entries `start..start + len`.
#[inline(always)]
fn add_block(sums: &mut [f64; BLOCK], tensors: &[Vec<f32>], start: usize, len: usize) {
    sums.fill(0.0);
    for tensor in tensors {
        sums.iter_mut().zip(&tensor[start..start + len]).for_each(|(sum, &v)| *sum += f64::from(v));
    }
}

/// The mean of the values that have the elected sign, 0 where none has.
#[inline(always)]
fn mean_of_agreeing(tensors: &[Vec<f32>]) -> Vec<f32> {
    let mut out = vec![0f32; tensors.first().map_or(0, Vec::len)];
    let mut sums = [0f64; BLOCK];
    // Entries whose values cancel exactly are decided when all others are known.
    let (mut balance, mut undecided) = (0i64, vec![]);
    for (start, out) in (0..).step_by(BLOCK).zip(out.chunks_mut(BLOCK)) {
        add_block(&mut sums, tensors, start, out.len());
        let signs = sums.map(|s| f32::from(i8::from(s > 0.0) - i8::from(s < 0.0)));
        balance += signs[..out.len()].iter().map(|&s| s as i64).sum::<i64>();
        mean_of_sign(&signs, tensors, start, out);
        let open = (0..out.len()).filter(|&p| signs[p] == 0.0).map(|p| start + p);
        undecided.extend(open.filter(|&p| tensors.iter().any(|t| t[p] != 0.0)));
    }
    let sign = if balance > 0 { 1.0 } else { -1.0 };
    for p in undecided {
        mean_of_sign(&[sign; BLOCK], tensors, p, &mut out[p..=p]);
    }
    out
}

/// Means of the values `start..` that have the given signs, 1 or −1; 0 where the sign is 0.
#[inline(always)]
fn mean_of_sign(signs: &[f32; BLOCK], tensors: &[Vec<f32>], start: usize, out: &mut [f32]) {
    let (mut totals, mut counts) = ([0f64; BLOCK], [0f32; BLOCK]);
    for tensor in tensors {
        let places = totals.iter_mut().zip(&mut counts).zip(signs);
        for (((total, count), &sign), &v) in places.zip(&tensor[start..start + out.len()]) {
            let agreeing = (sign * v).max(0.0);
            *total += f64::from(agreeing);
            *count += if agreeing > 0.0 { 1.0 } else { 0.0 };
        }
    }
    for (((o, sign), total), count) in out.iter_mut().zip(signs).zip(totals).zip(counts) {
        *o = sign * (total / f64::from(count.max(1.0))) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ties(tensors: &[&[f32]], density: f64) -> Vec<f32> {
        let density = Density::new(density).expect("a density");
        Entrywise::Ties(density).merge(tensors.iter().map(|t| t.to_vec()).collect(), 0)
    }

    #[test]
    fn the_values_of_the_elected_sign_are_averaged() {
        let merged = ties(&[&[3., -1., 2., 0.], &[-1., -3., 4., 0.], &[1., 2., 0., 0.]], 1.0);
        assert_eq!(merged, [2., -2., 3., 0.], "means of 3 and 1, −1 and −3, 2 and 4, none");
    }

    #[test]
    fn entries_that_cancel_take_the_sign_of_most_entries() {
        assert_eq!(ties(&[&[1., 5., 5.], &[-1., 5., -1.]], 1.0), [1., 5., 5.], "two entries are positive");
        assert_eq!(
            ties(&[&[1., -5., -5.], &[-1., -5., 1.]], 1.0),
            [-1., -5., -5.],
            "two entries are negative"
        );
        assert_eq!(ties(&[&[2.], &[-2.]], 1.0), [-2.], "as the released code does where no sign leads");
    }

    #[test]
    fn each_tensor_is_trimmed_by_itself() {
        assert_eq!(
            ties(&[&[4., 3., 1., 1.], &[0.1, 0.1, 0.3, 0.4]], 0.5),
            [4., 3., 0.3, 0.4],
            "halves differ"
        );
    }

    #[test]
    fn long_tensors_are_merged_as_short_ones() {
        let long: Vec<f32> = (0..3 * BLOCK + 7).map(|i| (i % 11) as f32 - 5.0).collect();
        let double: Vec<f32> = long.iter().map(|v| 3.0 * v).collect();
        let expected: Vec<f32> = long.iter().map(|v| 2.0 * v).collect();
        assert_eq!(ties(&[&long, &double], 1.0), expected, "the mean of one and three times");
        let summed = Entrywise::Sum.merge(vec![long.clone(), double], 0);
        assert!(summed.iter().zip(&long).all(|(s, v)| *s == 4.0 * v), "their sum");
    }
}
