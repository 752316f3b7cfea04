//! Nearest centroids: products of points and centroids in registers, compared there, never stored.
//!
//! [`WIDTH`] centroids lie side by side in the lanes of vectors and [`ROWS`] points are taken at once, so that each value read takes
//! part in several products. A general matrix product would write the scores, and a second pass read them again; it is taken where
//! tiles do not suit ([`Tiles::suit`]).

use super::points::Points;
use crate::simd::{Lanes, Level, dispatch};

/// Centroids of a tile.
const WIDTH: usize = 32;
/// Points that are taken at once.
const ROWS: usize = 4;
/// Size up to which a tile stays in the second-level cache while points go by.
const TILE_BYTES: usize = 256 << 10;

/// Centroids `[k, d]` in tiles.
pub(super) struct Tiles {
    /// `[⌈k / WIDTH⌉, d, WIDTH]`, zeros behind the last centroid.
    values: Vec<[f32; WIDTH]>,
    /// `‖c_j‖²` by tile, infinite behind the last.
    squared_norms: Vec<[f32; WIDTH]>,
}

impl Tiles {
    /// Of centroids `[k, n_dims]` and their `‖c_j‖²`.
    pub(super) fn new(centroids: &[f32], squared_norms: &[f32], n_dims: usize) -> Self {
        let n_tiles = squared_norms.len().div_ceil(WIDTH);
        let mut values = vec![[0.0; WIDTH]; n_tiles * n_dims];
        let mut norms = vec![[f32::INFINITY; WIDTH]; n_tiles];
        for (j, (row, &norm)) in centroids.chunks_exact(n_dims).zip(squared_norms).enumerate() {
            norms[j / WIDTH][j % WIDTH] = norm;
            let tile = &mut values[j / WIDTH * n_dims..][..n_dims];
            tile.iter_mut().zip(row).for_each(|(tile, &v)| tile[j % WIDTH] = v);
        }
        Self { values, squared_norms: norms }
    }

    /// Whether a tile in `n_dims` dimensions is small enough to be faster than a general product, even if most of it is empty (`cargo bench
    /// -p grouping-core --bench kmeans -- direct`).
    pub(super) fn suit(n_dims: usize) -> bool {
        WIDTH * n_dims * size_of::<f32>() <= TILE_BYTES
    }

    /// Writes the nearest centroids of the points from `first` on, as many as `labels`, and their scores `‖c‖² − 2 x·c`.
    pub(super) fn find(&self, points: &Points, first: usize, labels: &mut [usize], scores: &mut [f64]) {
        let (level, d) = (Level::detect(), points.n_dims);
        let rows = &points.values[first * d..][..labels.len() * d];
        nearest(level, rows, d, self, labels, scores);
    }
}

dispatch!(nearest = nearest_kernel(
    points: &[f32], d: usize, centroids: &Tiles, labels: &mut [usize], scores: &mut [f64],
));

/// The centroid of the lowest score `‖c_j‖² − 2 x·c_j` of each point (ties: the lowest index), and that score.
#[inline(always)]
fn nearest_kernel<L: Lanes>(
    points: &[f32],
    d: usize,
    centroids: &Tiles,
    labels: &mut [usize],
    scores: &mut [f64],
) {
    let blocks = points.chunks(ROWS * d).zip(labels.chunks_mut(ROWS).zip(scores.chunks_mut(ROWS)));
    for (block, (labels, scores)) in blocks {
        // The last point stands in for those that a last block lacks.
        let rows: [&[f32]; ROWS] = std::array::from_fn(|row| &block[row.min(labels.len() - 1) * d..][..d]);
        let mut best = [[f32::INFINITY; WIDTH]; ROWS];
        let mut index = [[0u32; WIDTH]; ROWS];
        let tiles = centroids.values.chunks_exact(d).zip(&centroids.squared_norms);
        for (at, (tile, squared_norms)) in tiles.enumerate() {
            let products = products::<L>(&rows, tile);
            for row in 0..ROWS {
                for lane in 0..WIDTH {
                    let score = L::mul_add(-2.0, products[row][lane], squared_norms[lane]);
                    let nearer = score < best[row][lane];
                    best[row][lane] = if nearer { score } else { best[row][lane] };
                    index[row][lane] = if nearer { (at * WIDTH + lane) as u32 } else { index[row][lane] };
                }
            }
        }
        for ((label, score), (best, index)) in labels.iter_mut().zip(scores).zip(best.iter().zip(&index)) {
            let (lowest, at) = lowest(best, index);
            (*label, *score) = (at as usize, f64::from(lowest));
        }
    }
}

/// `x·c` of some points and the centroids of a tile.
#[inline(always)]
fn products<L: Lanes>(rows: &[&[f32]; ROWS], tile: &[[f32; WIDTH]]) -> [[f32; WIDTH]; ROWS] {
    // With one length for all, no index below needs a check.
    let rows: [&[f32]; ROWS] = std::array::from_fn(|row| &rows[row][..tile.len()]);
    let mut products = [[0.0; WIDTH]; ROWS];
    for (t, c) in tile.iter().enumerate() {
        for row in 0..ROWS {
            let x = rows[row][t];
            for lane in 0..WIDTH {
                products[row][lane] = L::mul_add(x, c[lane], products[row][lane]);
            }
        }
    }
    products
}

/// The lowest score of all lanes and its index (ties: the lowest), by whole numbers that are ordered as the pairs are: their minimum
/// is taken by vectors, that of floats lane by lane.
#[inline(always)]
fn lowest(scores: &[f32; WIDTH], index: &[u32; WIDTH]) -> (f32, u32) {
    // The other bits of a negative number count downwards.
    let turned = |bits: i32| bits ^ ((bits >> 31) & i32::MAX);
    let mut lowest = i64::MAX;
    for lane in 0..WIDTH {
        let key = i64::from(turned(scores[lane].to_bits() as i32)) << 32 | i64::from(index[lane]);
        lowest = if key < lowest { key } else { lowest };
    }
    (f32::from_bits(turned((lowest >> 32) as i32) as u32), lowest as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::sequence;

    #[test]
    fn the_lowest_is_the_first_of_its_score() {
        for round in 0..200 {
            let value = |i: usize| (sequence(round, i as u64) % 9) as f32 - 4.5;
            let scores: [f32; WIDTH] = std::array::from_fn(value);
            let index = std::array::from_fn(|lane| (7 * lane as u32 + 3) % 64);
            let expected =
                (0..WIDTH).min_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(index[a].cmp(&index[b])));
            let expected = expected.expect("there are lanes");
            assert_eq!(lowest(&scores, &index), (scores[expected], index[expected]), "round {round}");
        }
    }

    #[test]
    fn every_level_finds_what_plain_sums_find() {
        for (n, d, k) in [(1, 1, 1), (7, 3, 2), (9, 16, 33), (64, 5, 97), (5, 70, 32)] {
            let value = |seed: u64| move |i: usize| (sequence(seed, i as u64) % 17) as f32 / 8.0 - 1.0;
            let points: Vec<f32> = (0..n * d).map(value(1)).collect();
            let centroids: Vec<f32> = (0..k * d).map(value(2)).collect();
            let norms: Vec<f32> = centroids.chunks_exact(d).map(|c| c.iter().map(|v| v * v).sum()).collect();
            let tiles = Tiles::new(&centroids, &norms, d);
            for level in Level::supported() {
                let (mut labels, mut scores) = (vec![0; n], vec![0.0; n]);
                nearest(level, &points, d, &tiles, &mut labels, &mut scores);
                for (i, x) in points.chunks_exact(d).enumerate() {
                    // Eighths are exact in f32, so that ties are ties.
                    let score = |j: usize| {
                        let product: f32 = x.iter().zip(&centroids[j * d..]).map(|(x, c)| x * c).sum();
                        f64::from(norms[j] - 2.0 * product)
                    };
                    let expected = (0..k).min_by(|&a, &b| score(a).total_cmp(&score(b))).expect("centroids");
                    assert_eq!((labels[i], scores[i]), (expected, score(expected)), "{level:?}, point {i}");
                }
            }
        }
    }
}
