//! The k nearest points of each query, ordered by distance and then by index, as a stable sort of all distances gives them.
//!
//! The buckets nearest to a query give a first bound on the distance of the k-th neighbour; all others whose box lies beyond the bound
//! are passed over. Queries are searched side by side.

use rayon::prelude::*;

use super::buckets::{BOXES, Buckets, WIDTH};
use super::check;
use crate::matrix::MatrixRef;
use crate::simd::{Lanes, Level, dispatch};
use crate::{Error, Result};

/// Queries that one task searches for.
const QUERIES: usize = 16;

/// The k nearest points of each query, `[m, k]`, the nearest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    k: usize,
    indices: Vec<u32>,
    distances: Vec<f32>,
}

impl Neighbours {
    /// Neighbours of a query.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Indices of points, `[m, k]`.
    pub fn indices(&self) -> &[u32] {
        &self.indices
    }

    /// Squared distances, `[m, k]`.
    pub fn distances(&self) -> &[f32] {
        &self.distances
    }
}

/// The `k` nearest of `points [n, d]` to each of `queries [m, d]`, ordered by (squared distance, index).
///
/// # Errors
/// [`Error::Setting`] unless `1 ≤ k ≤ n`; [`Error::Shape`] where dimensions differ or there is none; [`Error::NotFinite`] for NaN and
/// infinity.
///
/// ```
/// use grouping_core::{matrix::MatrixRef, neighbours::nearest_points};
/// let points = MatrixRef::new(4, 2, &[0., 0., 1., 0., 0., 1., 5., 5.])?;
/// let near = nearest_points(points, MatrixRef::new(1, 2, &[0., 0.])?, 3)?;
/// assert_eq!(near.indices(), [0, 1, 2], "of equally near points the first comes first");
/// assert_eq!(near.distances(), [0., 1., 1.]);
/// # Ok::<(), grouping_core::Error>(())
/// ```
pub fn nearest_points(points: MatrixRef<'_>, queries: MatrixRef<'_>, k: usize) -> Result<Neighbours> {
    check("points", points)?;
    check("queries", queries)?;
    let (n, d, m) = (points.n_rows(), points.n_cols(), queries.n_rows());
    if queries.n_cols() != d {
        return Err(Error::Shape {
            what: "queries".into(),
            expected: vec![m, d],
            found: vec![m, queries.n_cols()],
        });
    }
    if k == 0 || k > n {
        return Err(Error::setting("k", format!("at least 1 and at most the {n} points"), k));
    }
    let (mut indices, mut distances) = (vec![0; m * k], vec![0.0; m * k]);
    let buckets = Buckets::new(points);
    let tasks = indices.par_chunks_mut(QUERIES * k).zip(distances.par_chunks_mut(QUERIES * k));
    tasks.zip(queries.values().par_chunks(QUERIES * d)).for_each_init(
        Scratch::default,
        |scratch, (out, queries)| {
            let rows = out.0.chunks_exact_mut(k).zip(out.1.chunks_exact_mut(k));
            for ((indices, distances), query) in rows.zip(queries.chunks_exact(d)) {
                search(Level::detect(), &buckets, query, k, scratch);
                for ((index, distance), key) in indices.iter_mut().zip(distances).zip(&scratch.keys) {
                    (*index, *distance) = (*key as u32, f32::from_bits((key >> 32) as u32));
                }
            }
        },
    );
    Ok(Neighbours { k, indices, distances })
}

/// What a thread searches with.
#[derive(Default)]
struct Scratch {
    /// Squared distances to the boxes, by groups.
    boxes: Vec<[f32; BOXES]>,
    /// Candidates: the bits of the distance above those of the index, which are ordered as both are.
    keys: Vec<u64>,
}

dispatch!(search = search_kernel(buckets: &Buckets, query: &[f32], k: usize, scratch: &mut Scratch));

/// Leaves the `k` smallest keys in order.
#[inline(always)]
fn search_kernel<L: Lanes>(buckets: &Buckets, query: &[f32], k: usize, scratch: &mut Scratch) {
    let Scratch { boxes, keys } = scratch;
    boxes.clear();
    boxes.extend((0..buckets.n_groups()).map(|group| buckets.to_boxes(group, query)));
    keys.clear();
    let mut bound = f32::INFINITY;
    // The nearest buckets, until they hold k points.
    while keys.len() < k {
        let (group, lane) = nearest_box(boxes);
        boxes[group][lane] = f32::NAN;
        push(buckets, group * BOXES + lane, query, bound, keys);
    }
    bound = cut(keys, k);
    let most = 2 * k + WIDTH;
    for (group, near) in boxes.iter().enumerate() {
        let mut within =
            near.iter().zip(0..).fold(0u32, |bits, (near, lane)| bits | u32::from(*near <= bound) << lane);
        while within != 0 {
            let lane = within.trailing_zeros() as usize;
            within &= within - 1;
            if near[lane] <= bound {
                push(buckets, group * BOXES + lane, query, bound, keys);
            }
            if keys.len() > most {
                bound = cut(keys, k);
            }
        }
    }
    cut(keys, k);
    keys.sort_unstable();
}

/// The place of the nearest box that is not a NaN.
#[inline(always)]
fn nearest_box(boxes: &[[f32; BOXES]]) -> (usize, usize) {
    let mut least = [f32::INFINITY; BOXES];
    let mut groups = [u32::MAX; BOXES];
    for (group, near) in boxes.iter().enumerate() {
        for lane in 0..BOXES {
            // The first of them is taken also where all are infinite.
            let is_nearer =
                near[lane] < least[lane] || (near[lane] == least[lane] && groups[lane] == u32::MAX);
            least[lane] = if is_nearer { near[lane] } else { least[lane] };
            groups[lane] = if is_nearer { group as u32 } else { groups[lane] };
        }
    }
    let mut best = BOXES;
    for lane in 0..BOXES {
        if groups[lane] != u32::MAX && (best == BOXES || least[lane] < least[best]) {
            best = lane;
        }
    }
    (groups[best] as usize, best)
}

/// Appends the keys of a bucket's points that are not beyond the bound.
#[inline(always)]
fn push(buckets: &Buckets, bucket: usize, query: &[f32], bound: f32, keys: &mut Vec<u64>) {
    let Some(indices) = buckets.indices.get(bucket) else { return };
    let squares = buckets.to_points(bucket, query);
    let mut within = 0u32;
    for lane in 0..WIDTH {
        within |= u32::from(squares[lane] <= bound && indices[lane] != u32::MAX) << lane;
    }
    while within != 0 {
        let lane = within.trailing_zeros() as usize;
        within &= within - 1;
        keys.push(u64::from(squares[lane].to_bits()) << 32 | u64::from(indices[lane]));
    }
}

/// Keeps the `k` smallest keys, and says how far the last of them is.
#[inline(always)]
fn cut(keys: &mut Vec<u64>, k: usize) -> f32 {
    if keys.len() > k {
        keys.select_nth_unstable(k - 1);
        keys.truncate(k);
    }
    let last = keys.iter().max().map_or(u32::MAX, |key| (key >> 32) as u32);
    f32::from_bits(last)
}

#[cfg(test)]
mod tests {
    use super::{Buckets, Scratch, search};
    use crate::matrix::Matrix;
    use crate::seed::sequence;
    use crate::simd::Level;

    #[test]
    fn every_instruction_set_finds_the_same() {
        let points = Matrix::from_fn(2000, 5, |i, j| (sequence(3, (5 * i + j) as u64) >> 50) as f32);
        let buckets = Buckets::new(points.view());
        let keys = |level: Level| {
            let mut scratch = Scratch::default();
            search(level, &buckets, points.view().row(5), 100, &mut scratch);
            scratch.keys
        };
        let all: Vec<Vec<u64>> = Level::supported().into_iter().map(keys).collect();
        assert!(all.iter().all(|keys| *keys == all[0]), "{:?} differ", Level::supported());
    }
}
