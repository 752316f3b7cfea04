//! Groups of heads that are alike: the partition of n heads into G groups that minimises `Σ_g (1/|g|)·Σ_{i<j∈g} D_ij`.
//!
//! With `D` the squared distances of heads this is what averaging loses: the squared distances of all heads from the mean of their group. For
//! groups of one size it orders partitions as the sum of the pairs' costs does.
//!
//! Up to [`EXHAUSTIVE`] heads every partition is tried. Beyond, from several starts (neighbours, greedy, and random ones by the seed),
//! the best exchange of two heads, or for unequal groups move of one, is made until none helps; the best result stays. Ties go to the partition that is
//! found first, so that equal heads stay with their neighbours.

use grouping_core::seed::{derive_seed, sequence};

/// The number of heads up to which every partition is tried (8 heads have at most 1,701 into groups of any size).
pub const EXHAUSTIVE: usize = 8;
/// Starts of the search beyond that.
const N_STARTS: u64 = 16;
/// What a change must gain, as a share of the whole cost, so that rounding cannot go in circles.
const LEAST_GAIN: f64 = 1e-12;

/// How large groups may be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupSizes {
    /// All of one size; the number of groups must divide the number of heads.
    #[default]
    Equal,
    /// Any sizes from one on.
    Any,
}

/// Squared distances between heads: symmetric, `[n, n]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Distances {
    n: usize,
    values: Vec<f64>,
}

impl Distances {
    /// The matrix whose value at `(i, j)` and `(j, i)`, `i < j`, is `f(i, j)`.
    pub fn from_fn(n: usize, mut f: impl FnMut(usize, usize) -> f64) -> Self {
        let mut values = vec![0.0; n * n];
        for i in 0..n {
            for j in i + 1..n {
                let value = f(i, j);
                values[i * n + j] = value;
                values[j * n + i] = value;
            }
        }
        Self { n, values }
    }

    /// The matrix with these values, row-major; only those above the diagonal count.
    ///
    /// # Panics
    /// When there are not `n·n` values.
    pub fn new(n: usize, values: &[f64]) -> Self {
        assert_eq!(values.len(), n * n, "a square matrix of {n} heads");
        Self::from_fn(n, |i, j| values[i * n + j])
    }

    /// The number of heads.
    pub fn n_heads(&self) -> usize {
        self.n
    }

    /// The distance of two heads.
    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.n + j]
    }

    /// What averaging inside these groups loses.
    pub fn cost(&self, groups: &[Vec<usize>]) -> f64 {
        groups.iter().map(|group| self.within(group) / group.len().max(1) as f64).sum()
    }

    fn within(&self, group: &[usize]) -> f64 {
        let pairs = group.iter().enumerate().flat_map(|(k, &i)| group[k + 1..].iter().map(move |&j| (i, j)));
        pairs.map(|(i, j)| self.at(i, j)).sum()
    }
}

/// The groups, each in ascending order, sorted by their first heads.
///
/// ```
/// use kd_gqa::convert::{Distances, GroupSizes, similar_groups};
///
/// // Heads 0 and 3 are alike, and so are 1 and 2.
/// let distances = Distances::from_fn(4, |i, j| if i + j == 3 { 0.1 } else { 1.0 });
/// assert_eq!(similar_groups(&distances, 2, GroupSizes::Equal, 0), [[0, 3], [1, 2]]);
/// ```
///
/// # Panics
/// When there are no groups, more than heads, or for [`GroupSizes::Equal`] a number that does not divide that of the heads.
pub fn similar_groups(
    distances: &Distances,
    n_groups: usize,
    sizes: GroupSizes,
    seed: u64,
) -> Vec<Vec<usize>> {
    let n = distances.n;
    assert!((1..=n).contains(&n_groups), "{n_groups} groups of {n} heads");
    assert!(sizes == GroupSizes::Any || n.is_multiple_of(n_groups), "{n_groups} equal groups of {n} heads");
    let mut groups = if n <= EXHAUSTIVE {
        let largest = if sizes == GroupSizes::Equal { n / n_groups } else { n };
        let mut trial = Trial { distances, n_groups, largest, groups: vec![], best: (f64::INFINITY, vec![]) };
        trial.place(0);
        trial.best.1
    } else {
        let starts = (0..N_STARTS).map(|start| {
            let groups = match start {
                0 => runs(&(0..n).collect::<Vec<_>>(), n_groups),
                1 if sizes == GroupSizes::Equal => nearest(distances, n_groups),
                1 => agglomerated(distances, n_groups),
                _ => runs(&shuffled(n, derive_seed(seed, start)), n_groups),
            };
            let groups = improved(distances, groups, sizes);
            (distances.cost(&groups), groups)
        });
        let better = |best: (f64, _), other: (f64, _)| if other.0 < best.0 { other } else { best };
        starts.reduce(better).map(|(_, groups)| groups).unwrap_or_default()
    };
    groups.iter_mut().for_each(|group| group.sort_unstable());
    groups.sort_unstable();
    groups
}

/// All partitions, head by head: each joins a group that has room, or begins the next.
struct Trial<'a> {
    distances: &'a Distances,
    n_groups: usize,
    largest: usize,
    groups: Vec<Vec<usize>>,
    best: (f64, Vec<Vec<usize>>),
}

impl Trial<'_> {
    fn place(&mut self, head: usize) {
        let n = self.distances.n;
        if head == n {
            let cost = self.distances.cost(&self.groups);
            if cost < self.best.0 || self.best.1.is_empty() {
                self.best = (cost, self.groups.clone());
            }
            return;
        }
        let n_missing = self.n_groups - self.groups.len();
        // Every group that is still missing needs a head of its own.
        if n_missing < n - head {
            for group in 0..self.groups.len() {
                if self.groups[group].len() < self.largest {
                    self.groups[group].push(head);
                    self.place(head + 1);
                    self.groups[group].pop();
                }
            }
        }
        if n_missing > 0 {
            self.groups.push(vec![head]);
            self.place(head + 1);
            self.groups.pop();
        }
    }
}

/// Consecutive runs whose lengths differ by at most one.
fn runs(order: &[usize], n_groups: usize) -> Vec<Vec<usize>> {
    let (size, rest) = (order.len() / n_groups, order.len() % n_groups);
    let mut heads = order.iter().copied();
    (0..n_groups).map(|group| heads.by_ref().take(size + usize::from(group < rest)).collect()).collect()
}

fn shuffled(n: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        // The bias of the remainder is below 2^-56 for fewer than 256 heads.
        order.swap(last, (sequence(seed, last as u64) % (last as u64 + 1)) as usize);
    }
    order
}

/// Group by group: the first head that is left, then the nearest ones.
fn nearest(distances: &Distances, n_groups: usize) -> Vec<Vec<usize>> {
    let mut left: Vec<usize> = (0..distances.n).collect();
    let size = distances.n / n_groups;
    (0..n_groups)
        .map(|_| {
            let mut group = vec![left.remove(0)];
            while group.len() < size {
                let cost = |&head: &usize| group.iter().map(|&i| distances.at(i, head)).sum::<f64>();
                let best = (0..left.len()).min_by(|&a, &b| cost(&left[a]).total_cmp(&cost(&left[b])));
                group.push(left.remove(best.unwrap_or(0)));
            }
            group
        })
        .collect()
}

/// From single heads on, the two groups whose union costs least more are joined (Ward's rule).
fn agglomerated(distances: &Distances, n_groups: usize) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = (0..distances.n).map(|head| vec![head]).collect();
    let cost = |group: &[usize]| distances.within(group) / group.len() as f64;
    while groups.len() > n_groups {
        let mut best = (f64::INFINITY, 0, 1);
        for a in 0..groups.len() {
            for b in a + 1..groups.len() {
                let more = cost(&[&groups[a][..], &groups[b]].concat()) - cost(&groups[a]) - cost(&groups[b]);
                if more < best.0 {
                    best = (more, a, b);
                }
            }
        }
        let joined = groups.remove(best.2);
        groups[best.1].extend(joined);
    }
    groups
}

/// Makes the best exchange or move until none helps.
fn improved(distances: &Distances, mut groups: Vec<Vec<usize>>, sizes: GroupSizes) -> Vec<Vec<usize>> {
    let n = distances.n;
    let least = LEAST_GAIN * distances.values.iter().sum::<f64>();
    loop {
        let mut group_of = vec![0; n];
        groups.iter().enumerate().for_each(|(g, group)| group.iter().for_each(|&head| group_of[head] = g));
        let within: Vec<f64> = groups.iter().map(|group| distances.within(group)).collect();
        let len: Vec<f64> = groups.iter().map(|group| group.len() as f64).collect();
        // Distances of each head to each group.
        let to: Vec<Vec<f64>> = (0..n)
            .map(|head| groups.iter().map(|g| g.iter().map(|&i| distances.at(head, i)).sum()).collect())
            .collect();
        // Gain, head, and the head it changes places with or the group it moves to.
        let mut best = (least, 0, None, 0);
        for i in 0..n {
            let a = group_of[i];
            for j in i + 1..n {
                let b = group_of[j];
                if a == b {
                    continue;
                }
                let d = distances.at(i, j);
                let gain = (to[i][a] - to[j][a] + d) / len[a] + (to[j][b] - to[i][b] + d) / len[b];
                if gain > best.0 {
                    best = (gain, i, Some(j), b);
                }
            }
            if sizes == GroupSizes::Any && len[a] > 1.0 {
                for b in (0..groups.len()).filter(|&b| b != a) {
                    let before = within[a] / len[a] + within[b] / len[b];
                    let after =
                        (within[a] - to[i][a]) / (len[a] - 1.0) + (within[b] + to[i][b]) / (len[b] + 1.0);
                    if before - after > best.0 {
                        best = (before - after, i, None, b);
                    }
                }
            }
        }
        let (gain, i, with, b) = best;
        if gain <= least {
            return groups;
        }
        let a = group_of[i];
        groups[a].retain(|&head| head != i);
        groups[b].push(i);
        if let Some(j) = with {
            groups[b].retain(|&head| head != j);
            groups[a].push(j);
        }
    }
}
