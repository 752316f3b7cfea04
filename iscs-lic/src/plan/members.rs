//! Which channels share a slice, by the correlations of their kernels.
//!
//! A channel-conditional model exploits what channels of different, dependent slices have in common, and nothing of what those of one slice
//! have. *Spread* takes correlated channels apart: in the order given, a channel goes to the slice with room where `max |ρ|` to its channels
//! is least, the first of equals. *Cluster* keeps auxiliary channels of one parent together (see [`crate::channels::attachments`]), so that
//! the context of their slice needs little but that parent: the largest families first, each into the slice that it fills best; one that
//! fits nowhere fills the slices with the most room.
//!
//! A correlation that is NaN, of a channel whose weights are all equal, counts as none.

use grouping_core::correlation::Correlations;

/// `|ρ|` of two channels.
pub(super) fn magnitude(correlations: &Correlations, a: usize, b: usize) -> f64 {
    let r = correlations.at(a, b);
    if r.is_nan() { 0.0 } else { r.abs() }
}

/// Channels shared out among slices of these widths, correlated ones apart; slice after slice, each in the order of `channels`.
pub(super) fn spread(channels: &[usize], widths: &[usize], correlations: &Correlations) -> Vec<usize> {
    let mut slices: Vec<Vec<usize>> = vec![vec![]; widths.len()];
    for &channel in channels {
        let closest = |slice: &[usize]| {
            slice.iter().map(|&other| magnitude(correlations, channel, other)).fold(0.0, f64::max)
        };
        let open = (0..widths.len()).filter(|&k| slices[k].len() < widths[k]);
        let best = open.map(|k| (k, closest(&slices[k]))).reduce(|a, b| if b.1 < a.1 { b } else { a });
        let (k, _) = best.expect("slices hold all channels");
        slices[k].push(channel);
    }
    slices.concat()
}

/// Families of channels shared out among slices of these widths, each in one as far as it goes; slice after slice, families in the order
/// given.
pub(super) fn cluster(families: &[Vec<usize>], widths: &[usize]) -> Vec<usize> {
    let mut room = widths.to_vec();
    let mut slices: Vec<Vec<(usize, usize)>> = vec![vec![]; widths.len()];
    let mut by_size: Vec<usize> = (0..families.len()).collect();
    by_size.sort_by_key(|&f| std::cmp::Reverse(families[f].len()));
    for f in by_size {
        let mut rest = 0..families[f].len();
        while !rest.is_empty() {
            let fits = (0..room.len()).filter(|&k| room[k] >= rest.len()).min_by_key(|&k| room[k]);
            let widest = (0..room.len()).rev().max_by_key(|&k| room[k]);
            let k = fits.or(widest).filter(|&k| room[k] > 0).expect("slices hold all channels");
            let n = rest.len().min(room[k]);
            slices[k].extend((rest.start..rest.start + n).map(|i| (f, i)));
            (rest.start, room[k]) = (rest.start + n, room[k] - n);
        }
    }
    for slice in &mut slices {
        slice.sort_unstable();
    }
    slices.concat().into_iter().map(|(f, i)| families[f][i]).collect()
}

#[cfg(test)]
mod tests {
    use grouping_core::correlation::{Measure, correlation_within};
    use grouping_core::matrix::MatrixRef;

    use super::*;

    #[test]
    fn twins_are_taken_apart() {
        // Channels 0 and 1 are alike, and so are 2 and 3.
        let kernels = [1., -1., 0., 2., -2., 0., 1., 1., -2., 3., 3., -6.];
        let matrix = MatrixRef::new(4, 3, &kernels).expect("a matrix");
        let correlations = correlation_within(matrix, Measure::Pearson).expect("correlations");
        let apart = spread(&[0, 1, 2, 3], &[2, 2], &correlations);
        let slice = |channel: usize| apart.iter().position(|&c| c == channel).expect("each once") / 2;
        assert_ne!(slice(0), slice(1), "{apart:?}");
        assert_ne!(slice(2), slice(3), "{apart:?}");
        assert_eq!(spread(&[3, 1, 0], &[3], &correlations), [3, 1, 0], "one slice keeps the order");
    }

    #[test]
    fn families_stay_together_where_they_fit() {
        let families = [vec![5], vec![1, 2, 3], vec![7, 8]];
        assert_eq!(cluster(&families, &[3, 3]), [1, 2, 3, 5, 7, 8], "two slices");
        // Three channels fit nowhere: the widest slice takes what it can.
        assert_eq!(cluster(&families, &[2, 2, 2]), [1, 2, 5, 3, 7, 8], "three slices");
    }
}
