//! Which slices wait for which, and how long the longest chain of them is.

use super::config::Schedule;
use crate::checkpoint::{Architecture, Design};

/// The longest chain of slices that wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CriticalPath {
    /// The most slices of a chain: how many steps decoding takes on enough threads.
    pub n_slices: usize,
    /// The most channels of a chain: what such a decoder codes one after another.
    pub n_channels: usize,
}

/// The dependencies of slices of which the first `n_core` hold the core.
pub(super) fn scheduled(schedule: Schedule, n_slices: usize, n_core: usize) -> Vec<Vec<usize>> {
    let last = |k: usize| match schedule {
        Schedule::Serial => k,
        Schedule::CoreParallel => k.min(n_core),
    };
    (0..n_slices).map(|k| (0..last(k)).collect()).collect()
}

/// The dependencies that the model itself has.
pub(super) fn of_the_model(design: &Design) -> Vec<Vec<usize>> {
    let last = |k: usize| match design.architecture {
        Architecture::ChannelConditional => k.min(design.n_support),
        _ => k,
    };
    (0..design.slices.len()).map(|k| (0..last(k)).collect()).collect()
}

/// The longest chain of slices of these widths.
///
/// ```
/// use iscs_lic::plan::critical_path;
///
/// // Two slices in sequence, and two more that see the first two.
/// let path = critical_path(&[4, 8, 20, 32], &[vec![], vec![0], vec![0, 1], vec![0, 1]]);
/// assert_eq!((path.n_slices, path.n_channels), (3, 44));
/// ```
///
/// # Panics
/// When a slice depends on one that does not stand before it.
pub fn critical_path(slices: &[usize], dependencies: &[Vec<usize>]) -> CriticalPath {
    let mut chains: Vec<[usize; 2]> = vec![];
    let longest = |chains: &[[usize; 2]], earlier: &mut dyn Iterator<Item = usize>| {
        earlier.fold([0, 0], |[n, width], k| [n.max(chains[k][0]), width.max(chains[k][1])])
    };
    for (&width, earlier) in slices.iter().zip(dependencies) {
        let [n, before] = longest(&chains, &mut earlier.iter().copied());
        chains.push([n + 1, before + width]);
    }
    let [n_slices, n_channels] = longest(&chains, &mut (0..chains.len()));
    CriticalPath { n_slices, n_channels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auxiliary_slices_see_the_core_alone() {
        let parallel = scheduled(Schedule::CoreParallel, 5, 2);
        assert_eq!(parallel, [vec![], vec![0], vec![0, 1], vec![0, 1], vec![0, 1]], "side by side");
        let serial = scheduled(Schedule::Serial, 3, 1);
        assert_eq!(serial, [vec![], vec![0], vec![0, 1]], "one after another");
    }

    #[test]
    fn chains_of_channels_and_of_slices_are_apart() {
        let path = critical_path(&[1, 1, 1, 50], &[vec![], vec![0], vec![1], vec![]]);
        assert_eq!(path, CriticalPath { n_slices: 3, n_channels: 50 }, "two chains");
        assert_eq!(critical_path(&[], &[]), CriticalPath { n_slices: 0, n_channels: 0 }, "nothing");
    }
}
