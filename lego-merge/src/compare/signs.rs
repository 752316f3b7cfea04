//! Sign conflicts: how often two dense updates have opposite signs, counted value by value without holding any update.
//!
//! For each pair, the share of the places where both `ΔWᵢ` and `ΔWⱼ` are not zero at which their signs differ: 0 for equal
//! updates, 1 for opposite ones, ½ for independent ones. It is what an election of signs (TIES) would have to settle.
//! Updates are formed a block at a time and kept as two bits a value. Cost: `2·d_out·d_in·Σ rᵢ` flops a module.

use grouping_core::simd::{Lanes, Level, dispatch};

use super::PairTable;
use crate::adapter::Factors;
use crate::merge::update::{Block, CHUNK, ROWS, form};

/// Bits of one row of a block.
type Bits = [u64; CHUNK / 64];

/// Which values of a row are above and below zero.
#[derive(Clone, Copy)]
struct Signs {
    above: Bits,
    below: Bits,
}

impl Signs {
    #[inline(always)]
    fn of(values: &[f32; CHUNK]) -> Self {
        let bits = |is: fn(f32) -> bool| {
            std::array::from_fn(|word| {
                let values = &values[64 * word..64 * (word + 1)];
                values.iter().enumerate().fold(0, |bits, (i, &v)| bits | (u64::from(is(v)) << i))
            })
        };
        Self { above: bits(|v| v > 0.0), below: bits(|v| v < 0.0) }
    }

    /// Number of values that both have, and of those that differ.
    #[inline(always)]
    fn meet(&self, other: &Self) -> (u64, u64) {
        let mut counts = (0, 0);
        for w in 0..CHUNK / 64 {
            let [a, b] = [self, other].map(|s| s.above[w] | s.below[w]);
            let differ = (self.above[w] & other.below[w]) | (self.below[w] & other.above[w]);
            counts.0 += u64::from((a & b).count_ones());
            counts.1 += u64::from(differ.count_ones());
        }
        counts
    }
}

dispatch!(count_into = count_kernel(factors: &[Factors], counts: &mut [(u64, u64)]));

#[inline(always)]
fn count_kernel<L: Lanes>(factors: &[Factors], counts: &mut [(u64, u64)]) {
    let n = factors.len();
    let Some(first) = factors.first() else { return };
    let (n_rows, n_cols) = (first.b.n_rows(), first.a.n_cols());
    let mut block: Block = [[0.0; CHUNK]; ROWS];
    let mut signs = vec![[Signs { above: [0; CHUNK / 64], below: [0; CHUNK / 64] }; ROWS]; n];
    for row in (0..n_rows).step_by(ROWS) {
        for column in (0..n_cols).step_by(CHUNK) {
            let len = CHUNK.min(n_cols - column);
            for (factors, signs) in factors.iter().zip(&mut signs) {
                form(factors, row, column, len, &mut block);
                for (signs, values) in signs.iter_mut().zip(&mut block) {
                    values[len..].fill(0.0);
                    *signs = Signs::of(values);
                }
            }
            for (i, one) in signs.iter().enumerate() {
                for (j, other) in signs.iter().enumerate().skip(i + 1) {
                    for (one, other) in one.iter().zip(other) {
                        let (both, differ) = one.meet(other);
                        let count = &mut counts[i * n + j];
                        *count = (count.0 + both, count.1 + differ);
                    }
                }
            }
        }
    }
}

/// For each pair of one module's sources the number of places where both are not zero, and of those the number where the
/// signs differ; `[n, n]`, the upper triangle.
pub(super) fn count(factors: &[Factors]) -> Vec<(u64, u64)> {
    let mut counts = vec![(0, 0); factors.len() * factors.len()];
    count_into(Level::detect(), factors, &mut counts);
    counts
}

/// Shares of the counts, in both directions; a pair that meets nowhere has none.
pub(super) fn shares(counts: &[(u64, u64)], n: usize) -> PairTable {
    let share = |i: usize, j: usize| {
        if i == j {
            return Some(0.0);
        }
        let (both, differ) = counts[i.min(j) * n + i.max(j)];
        (both > 0).then(|| differ as f64 / both as f64)
    };
    (0..n).map(|i| (0..n).map(|j| share(i, j)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use grouping_core::matrix::Matrix;

    use super::*;

    #[test]
    fn signs_are_those_of_the_dense_updates() {
        // Beyond one block in both directions, with zeros on the way.
        let value = |seed: usize, i: usize, j: usize| ((7 * i + 5 * j + 3 * i * j + seed) % 5) as f32 - 2.0;
        let factors: Vec<Factors> = (0..3)
            .map(|s| {
                let a = Matrix::from_fn(2, 300, |i, j| value(s, i, j));
                let b = Matrix::from_fn(6, 2, |i, j| value(s + 1, i, j));
                Factors { a, b, scale: if s == 2 { -0.5 } else { 1.0 } }
            })
            .collect();
        let dense = |f: &Factors| -> Vec<f32> {
            let at = |i: usize, j: usize| {
                (0..2).map(|t| f.b.view().row(i)[t] * f.a.view().row(t)[j]).sum::<f32>() * f.scale as f32
            };
            (0..6 * 300).map(|p| at(p / 300, p % 300)).collect()
        };
        let found = shares(&count(&factors), 3);
        for i in 0..3 {
            for j in 0..3 {
                let pairs =
                    dense(&factors[i]).into_iter().zip(dense(&factors[j])).filter(|(x, y)| x * y != 0.0);
                let products: Vec<f32> = pairs.map(|(x, y)| x * y).collect();
                let differ = products.iter().filter(|p| **p < 0.0).count();
                let expected = differ as f64 / products.len() as f64;
                assert_eq!(found[i][j], Some(expected), "sources {i} and {j}");
            }
        }
    }
}
