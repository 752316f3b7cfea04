//! The `k`-th largest magnitude of many values, by a histogram of their leading bits and a selection within one bucket:
//! one and a half passes, where a selection among all values takes several.

use std::cmp::Ordering;

/// The `k`-th largest magnitude and its place among the others.
pub(super) struct KthLargest {
    /// Its bits, which rise with the magnitude.
    pub(super) bits: u32,
    /// How many magnitudes are larger.
    pub(super) n_larger: usize,
    /// How many are equal, itself among them.
    pub(super) n_equal: usize,
}

/// Exponent and three bits of the mantissa tell the buckets apart.
const SHIFT: u32 = 20;
const N_BUCKETS: usize = 1 << (31 - SHIFT);
/// Histograms that are filled in turn, so that runs of equal buckets do not wait for each other.
const N_LANES: usize = 4;

/// The bits of a magnitude rise with it.
pub(super) fn magnitude(v: f32) -> u32 {
    v.to_bits() & 0x7fff_ffff
}

/// The `k`-th largest magnitude of `values`, for `k` from 1 to their number.
pub(super) fn kth_largest(values: &[f32], k: usize) -> KthLargest {
    let bucket = |v: f32| (magnitude(v) >> SHIFT) as usize;
    let mut lanes = vec![[0u32; N_LANES]; N_BUCKETS];
    let mut counts = vec![0usize; N_BUCKETS];
    // A lane counts no further than its type.
    for part in values.chunks(1 << 30) {
        for four in part.chunks(N_LANES) {
            four.iter().enumerate().for_each(|(lane, &v)| lanes[bucket(v)][lane] += 1);
        }
        for (count, lanes) in counts.iter_mut().zip(&mut lanes) {
            *count += std::mem::take(lanes).iter().map(|&n| n as usize).sum::<usize>();
        }
    }
    let (mut n_larger, mut found) = (0, N_BUCKETS - 1);
    while n_larger + counts[found] < k && found > 0 {
        n_larger += counts[found];
        found -= 1;
    }
    let mut inside: Vec<u32> = Vec::with_capacity(counts[found]);
    inside.extend(values.iter().filter(|&&v| bucket(v) == found).map(|&v| magnitude(v)));
    let place = k - n_larger - 1;
    let (_, &mut bits, _) = inside.select_nth_unstable_by(place, |a, b| b.cmp(a));
    let count = |wanted| inside.iter().filter(|m| (*m).cmp(&bits) == wanted).count();
    KthLargest { bits, n_larger: n_larger + count(Ordering::Greater), n_equal: count(Ordering::Equal) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_that_of_the_sorted_magnitudes(
            mut values in prop::collection::vec(prop_oneof![Just(0.0f32), Just(-1.0), Just(1.0), -2.0f32..2.0, any::<f32>()], 1..300),
            place in any::<prop::sample::Index>(),
        ) {
            values.retain(|v| v.is_finite());
            prop_assume!(!values.is_empty());
            let k = place.index(values.len()) + 1;
            let found = kth_largest(&values, k);
            let mut sorted: Vec<u32> = values.iter().map(|&v| magnitude(v)).collect();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            let bits = sorted[k - 1];
            prop_assert_eq!(found.bits, bits, "the magnitude");
            prop_assert_eq!(found.n_larger, sorted.iter().filter(|&&m| m > bits).count(), "the larger ones");
            prop_assert_eq!(found.n_equal, sorted.iter().filter(|&&m| m == bits).count(), "the equal ones");
        }
    }
}
