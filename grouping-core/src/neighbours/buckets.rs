//! Points in buckets of [`WIDTH`], with the boxes around them.

use crate::matrix::MatrixRef;

/// Points of a bucket: the lanes of one or two vectors of AVX-512.
pub(super) const WIDTH: usize = 32;
/// Boxes that are compared at once.
pub(super) const BOXES: usize = 16;

/// A value of each point of a bucket.
pub(super) type Lanes32 = [f32; WIDTH];

/// Points by the leaves of a k-d tree: every bucket but the last is full.
pub(super) struct Buckets {
    pub(super) n_dims: usize,
    /// `[n_buckets, n_dims]`, dimension by dimension within a bucket; behind the last point its copies.
    pub(super) coordinates: Vec<Lanes32>,
    /// Indices of the points, ascending within a bucket; [`u32::MAX`] behind the last point.
    pub(super) indices: Vec<[u32; WIDTH]>,
    /// Least and greatest coordinate of each bucket, `[n_dims, n_groups, BOXES]`; behind the last bucket a box that is
    /// infinitely far away.
    pub(super) lows: Vec<[f32; BOXES]>,
    pub(super) highs: Vec<[f32; BOXES]>,
}

impl Buckets {
    /// Sorts points `[n, d]` into buckets, `n > 0`.
    pub(super) fn new(points: MatrixRef<'_>) -> Self {
        let (n, n_dims) = (points.n_rows(), points.n_cols());
        let n_buckets = n.div_ceil(WIDTH);
        let mut order: Vec<u32> = (0..n as u32).collect();
        let mut keys: Vec<u64> = vec![0; n];
        split(points, &mut order, &mut keys);
        let n_groups = n_buckets.div_ceil(BOXES);
        let mut buckets = Self {
            n_dims,
            coordinates: Vec::with_capacity(n_buckets * n_dims),
            indices: Vec::with_capacity(n_buckets),
            lows: vec![[f32::INFINITY; BOXES]; n_dims * n_groups],
            highs: vec![[f32::INFINITY; BOXES]; n_dims * n_groups],
        };
        for (bucket, members) in order.chunks_mut(WIDTH).enumerate() {
            members.sort_unstable();
            let mut indices = [u32::MAX; WIDTH];
            indices[..members.len()].copy_from_slice(members);
            buckets.indices.push(indices);
            let last = members[members.len() - 1];
            for dim in 0..n_dims {
                let lanes: Lanes32 = std::array::from_fn(|lane| {
                    let row = members.get(lane).copied().unwrap_or(last) as usize;
                    points.values()[row * n_dims + dim]
                });
                let (low, high) = range(&lanes);
                let (group, place) = (dim * n_groups + bucket / BOXES, bucket % BOXES);
                (buckets.lows[group][place], buckets.highs[group][place]) = (low, high);
                buckets.coordinates.push(lanes);
            }
        }
        buckets
    }

    /// Number of buckets.
    pub(super) fn len(&self) -> usize {
        self.indices.len()
    }

    /// Number of groups of [`BOXES`] boxes.
    pub(super) fn n_groups(&self) -> usize {
        self.len().div_ceil(BOXES)
    }

    /// Squared distances of `point` to the boxes of a group: at most those to their points, also after rounding.
    #[inline(always)]
    pub(super) fn to_boxes(&self, group: usize, point: &[f32]) -> [f32; BOXES] {
        let n_groups = self.n_groups();
        let mut squares = [0.0; BOXES];
        for (dim, &p) in point.iter().enumerate() {
            let (low, high) = (&self.lows[dim * n_groups + group], &self.highs[dim * n_groups + group]);
            for lane in 0..BOXES {
                let (below, above) = (low[lane] - p, p - high[lane]);
                let gap = if below > above { below } else { above };
                let gap = if gap > 0.0 { gap } else { 0.0 };
                squares[lane] += gap * gap;
            }
        }
        squares
    }

    /// Squared distances of `point` to the points of a bucket.
    #[inline(always)]
    pub(super) fn to_points(&self, bucket: usize, point: &[f32]) -> Lanes32 {
        let mut squares = [0.0; WIDTH];
        let coordinates = &self.coordinates[bucket * self.n_dims..][..self.n_dims];
        for (lanes, &p) in coordinates.iter().zip(point) {
            for lane in 0..WIDTH {
                let off = lanes[lane] - p;
                squares[lane] += off * off;
            }
        }
        squares
    }
}

/// Splits points at multiples of a bucket, half the buckets to each side, along the dimension in which they extend most.
fn split(points: MatrixRef<'_>, order: &mut [u32], keys: &mut [u64]) {
    let n_buckets = order.len().div_ceil(WIDTH);
    if n_buckets < 2 {
        return;
    }
    let (n_dims, values) = (points.n_cols(), points.values());
    let mut widest = (f32::NEG_INFINITY, 0);
    for dim in 0..n_dims {
        let first = values[order[0] as usize * n_dims + dim];
        let (mut low, mut high) = (first, first);
        for &row in &*order {
            let value = values[row as usize * n_dims + dim];
            low = if value < low { value } else { low };
            high = if value > high { value } else { high };
        }
        // Halves do not overflow.
        let extent = high / 2.0 - low / 2.0;
        widest = if extent > widest.0 { (extent, dim) } else { widest };
    }
    for (key, &row) in keys.iter_mut().zip(&*order) {
        let bits = (values[row as usize * n_dims + widest.1] + 0.0).to_bits();
        let ordered = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
        *key = u64::from(ordered) << 32 | u64::from(row);
    }
    let middle = n_buckets / 2 * WIDTH;
    keys.select_nth_unstable(middle);
    order.iter_mut().zip(&*keys).for_each(|(row, key)| *row = *key as u32);
    let (left, right) = order.split_at_mut(middle);
    let (left_keys, right_keys) = keys.split_at_mut(middle);
    split(points, left, left_keys);
    split(points, right, right_keys);
}

/// Least and greatest of the lanes.
fn range(lanes: &Lanes32) -> (f32, f32) {
    lanes.iter().fold((lanes[0], lanes[0]), |(low, high), &v| {
        (if v < low { v } else { low }, if v > high { v } else { high })
    })
}
