//! Farthest-point sampling: each sample is the point that lies farthest from the samples before it (Eldar et al. 1997, PointNet++ §3.2).
//!
//! A new sample can bring nearer only points of buckets whose box is nearer to it than their farthest point is to the samples so
//! far; all other buckets are left alone. Among equally far points the first is taken, as `argmax` does.

use super::buckets::{BOXES, Buckets, Lanes32, WIDTH};
use super::check;
use crate::matrix::MatrixRef;
use crate::simd::{Lanes, Level, dispatch};
use crate::{Error, Result};

/// How many points are sampled, and from where on.
#[derive(Debug, Clone, PartialEq)]
pub struct FarthestConfig {
    n_samples: usize,
    start: usize,
    skip_within: Option<f32>,
}

impl FarthestConfig {
    /// `n_samples` points, the first of them point 0.
    pub fn new(n_samples: usize) -> Self {
        Self { n_samples, start: 0, skip_within: None }
    }

    /// The first sample.
    pub fn with_start(mut self, start: usize) -> Self {
        self.start = start;
        self
    }

    /// Passes over points with `‖p‖² ≤ bound`: none of them is sampled, except as the first (pointnet2's kernel does so with 10⁻³).
    pub fn with_skip_within(mut self, bound: f32) -> Self {
        self.skip_within = Some(bound);
        self
    }
}

/// Indices of points `[n, d]` in the order of sampling, `[n_samples]`: those of the sequential loop.
///
/// Where every point that is left lies on a sample, the first of them is taken again and again, as that loop does.
///
/// # Errors
/// [`Error::Setting`] for no sample, for more than there are points (without those that are passed over), for a start that is no
/// point and for a bound that is NaN; [`Error::Shape`] for points without a dimension; [`Error::NotFinite`] for NaN and infinity.
///
/// ```
/// use grouping_core::{matrix::MatrixRef, neighbours::{FarthestConfig, farthest_points}};
/// let line = MatrixRef::new(5, 1, &[0., 1., 2., 3., 10.])?;
/// assert_eq!(farthest_points(line, &FarthestConfig::new(3))?, [0, 4, 3]);
/// assert_eq!(farthest_points(line, &FarthestConfig::new(2).with_start(3))?, [3, 4]);
/// # Ok::<(), grouping_core::Error>(())
/// ```
pub fn farthest_points(points: MatrixRef<'_>, config: &FarthestConfig) -> Result<Vec<usize>> {
    check("points", points)?;
    let n = points.n_rows();
    if config.start >= n {
        return Err(Error::setting("start", format!("one of {n} points"), config.start));
    }
    let is_skipped = skipped(points, config.skip_within)?;
    let n_skipped =
        is_skipped.iter().enumerate().filter(|&(row, &skipped)| skipped && row != config.start).count();
    if config.n_samples == 0 || config.n_samples > n - n_skipped {
        let expected = format!("at least 1 and at most the {} points that can be sampled", n - n_skipped);
        return Err(Error::setting("n_samples", expected, config.n_samples));
    }
    let mut search = Search::new(points, &is_skipped);
    let mut samples = Vec::with_capacity(config.n_samples);
    samples.push(config.start);
    sample(Level::detect(), &mut search, points, config.n_samples, &mut samples);
    Ok(samples)
}

/// Which points are passed over; empty for none.
fn skipped(points: MatrixRef<'_>, within: Option<f32>) -> Result<Vec<bool>> {
    let Some(bound) = within else { return Ok(vec![]) };
    if bound.is_nan() {
        return Err(Error::setting("skip_within", "a number", bound));
    }
    let square = |row: &[f32]| row.iter().fold(0.0, |sum, v| sum + v * v);
    Ok(points.values().chunks_exact(points.n_cols()).map(|row| square(row) <= bound).collect())
}

/// Points, and how far they are from the samples so far.
struct Search {
    buckets: Buckets,
    /// Squared distance of each point to the nearest sample; −1 for points that cannot be sampled.
    distances: Vec<Lanes32>,
    /// The greatest distance in each bucket, and the first point that has it; −1 behind the last bucket.
    farthest: Vec<[f32; BOXES]>,
    first: Vec<[u32; BOXES]>,
}

impl Search {
    fn new(points: MatrixRef<'_>, is_skipped: &[bool]) -> Self {
        let buckets = Buckets::new(points);
        let can_be =
            |index: u32| index != u32::MAX && !is_skipped.get(index as usize).is_some_and(|&skipped| skipped);
        let distance = |index: &u32| if can_be(*index) { f32::INFINITY } else { -1.0 };
        let distances: Vec<Lanes32> =
            buckets.indices.iter().map(|bucket| bucket.each_ref().map(distance)).collect();
        let mut farthest = vec![[-1.0; BOXES]; buckets.n_groups()];
        let mut first = vec![[u32::MAX; BOXES]; buckets.n_groups()];
        for (bucket, indices) in buckets.indices.iter().enumerate() {
            if let Some(&index) = indices.iter().find(|&&index| can_be(index)) {
                farthest[bucket / BOXES][bucket % BOXES] = f32::INFINITY;
                first[bucket / BOXES][bucket % BOXES] = index;
            }
        }
        Self { buckets, distances, farthest, first }
    }

    /// Takes the sample at `point` into account.
    #[inline(always)]
    fn add(&mut self, point: &[f32]) {
        for group in 0..self.farthest.len() {
            let near = self.buckets.to_boxes(group, point);
            let reach = self.farthest[group];
            let touched = near.iter().zip(reach).zip(0..);
            let mut touched =
                touched.fold(0u32, |bits, ((near, reach), lane)| bits | u32::from(*near < reach) << lane);
            while touched != 0 {
                let lane = touched.trailing_zeros() as usize;
                touched &= touched - 1;
                let bucket = group * BOXES + lane;
                let squares = self.buckets.to_points(bucket, point);
                let distances = &mut self.distances[bucket];
                for i in 0..WIDTH {
                    distances[i] = if squares[i] < distances[i] { squares[i] } else { distances[i] };
                }
                let most = greatest(distances);
                let mut index = [u32::MAX; WIDTH];
                for i in 0..WIDTH {
                    index[i] = if distances[i] == most { self.buckets.indices[bucket][i] } else { u32::MAX };
                }
                self.farthest[group][lane] = most;
                self.first[group][lane] = least(&index);
            }
        }
    }

    /// The first of the points that are farthest from the samples.
    #[inline(always)]
    fn next(&self) -> usize {
        let mut most = [-1.0f32; BOXES];
        for group in &self.farthest {
            for lane in 0..BOXES {
                most[lane] = if group[lane] > most[lane] { group[lane] } else { most[lane] };
            }
        }
        let most = greatest(&most);
        let mut index = [u32::MAX; BOXES];
        for (group, first) in self.farthest.iter().zip(&self.first) {
            for lane in 0..BOXES {
                let here = if group[lane] == most { first[lane] } else { u32::MAX };
                index[lane] = if here < index[lane] { here } else { index[lane] };
            }
        }
        least(&index) as usize
    }
}

/// The greatest of lanes, halving.
#[inline(always)]
fn greatest<const N: usize>(lanes: &[f32; N]) -> f32 {
    let mut lanes = *lanes;
    let mut half = N / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = if lanes[i + half] > lanes[i] { lanes[i + half] } else { lanes[i] };
        }
        half /= 2;
    }
    lanes[0]
}

/// The least of lanes, halving.
#[inline(always)]
fn least<const N: usize>(lanes: &[u32; N]) -> u32 {
    let mut lanes = *lanes;
    let mut half = N / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = lanes[i].min(lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

dispatch!(sample = sample_kernel(search: &mut Search, points: MatrixRef<'_>, n_samples: usize, samples: &mut Vec<usize>));

#[inline(always)]
fn sample_kernel<L: Lanes>(
    search: &mut Search,
    points: MatrixRef<'_>,
    n_samples: usize,
    samples: &mut Vec<usize>,
) {
    while samples.len() < n_samples {
        let last = samples[samples.len() - 1];
        search.add(points.row(last));
        samples.push(search.next());
    }
}

#[cfg(test)]
mod tests {
    use super::{Search, sample};
    use crate::matrix::Matrix;
    use crate::seed::sequence;
    use crate::simd::Level;

    #[test]
    fn every_instruction_set_samples_the_same() {
        let points = Matrix::from_fn(2000, 5, |i, j| (sequence(3, (5 * i + j) as u64) >> 50) as f32);
        let samples = |level: Level| {
            let mut samples = vec![17];
            sample(level, &mut Search::new(points.view(), &[]), points.view(), 300, &mut samples);
            samples
        };
        let all: Vec<Vec<usize>> = Level::supported().into_iter().map(samples).collect();
        assert!(all.iter().all(|samples| *samples == all[0]), "{:?} differ", Level::supported());
    }
}
