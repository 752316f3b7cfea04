//! The k-th largest magnitude of `f32` values, exact: of a slice ([`kth_largest`]), or of values that are too many to hold.
//!
//! The bits of a magnitude rise with it, so a histogram of its upper bits finds the bucket that holds the k-th largest value.
//! Of values in memory, that bucket's are selected among (one and a half passes, where a selection among all takes several).
//! Values that are too many to hold are counted twice: the upper 16 of the 31 bits ([`CoarseCounts`]), then the lower 15 bits
//! of that bucket's values ([`FineCounts`]). Counts of parts add up, in any order. Memory: 512 and 256 kB.

/// Lower bits of a magnitude in memory, selected among in the second pass: few enough counters for the first-level cache.
const SELECTED_BITS: u32 = 20;
/// Histograms that are filled in turn, so that runs of equal buckets do not wait for each other.
const N_LANES: usize = 4;
/// Lower bits of a magnitude, counted in the second pass.
const FINE_BITS: u32 = 15;
const N_COARSE: usize = 1 << (31 - FINE_BITS);
const N_FINE: usize = 1 << FINE_BITS;

/// The bits of `|value|`, which rise with it; those of NaN are above all others.
#[inline(always)]
pub fn magnitude_bits(value: f32) -> u32 {
    value.to_bits() & 0x7fff_ffff
}

/// Counts of the upper bits of magnitudes.
#[derive(Debug, Clone, PartialEq)]
pub struct CoarseCounts {
    counts: Vec<u64>,
}

/// Where the k-th largest magnitude is, to its upper bits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    index: u32,
    /// How many of the bucket's values, from the largest, are among the k.
    n_wanted: u64,
}

/// Counts of the lower bits of the magnitudes in one bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct FineCounts {
    bucket: Bucket,
    counts: Vec<u64>,
}

/// The k-th largest magnitude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KthMagnitude {
    /// Its [`magnitude_bits`].
    pub bits: u32,
    /// How many values have this very magnitude.
    pub n_equal: u64,
    /// How many of these are among the k largest.
    pub n_equal_wanted: u64,
}

impl Default for CoarseCounts {
    fn default() -> Self {
        Self::new()
    }
}

impl CoarseCounts {
    /// Nothing counted.
    pub fn new() -> Self {
        Self { counts: vec![0; N_COARSE] }
    }

    /// Counts values.
    pub fn count(&mut self, values: &[f32]) {
        for &value in values {
            self.counts[(magnitude_bits(value) >> FINE_BITS) as usize] += 1;
        }
    }

    /// Adds the counts of another part.
    pub fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
    }

    /// The bucket of the `k`-th largest magnitude, counted from 1; `None` unless there are `k` values and `k > 0`.
    pub fn bucket(&self, k: u64) -> Option<Bucket> {
        let (index, n_wanted) = kth_from_above(&self.counts, k)?;
        Some(Bucket { index: index as u32, n_wanted })
    }
}

impl FineCounts {
    /// Nothing counted in this bucket.
    pub fn new(bucket: Bucket) -> Self {
        Self { bucket, counts: vec![0; N_FINE] }
    }

    /// Counts those of the values that are in the bucket.
    pub fn count(&mut self, values: &[f32]) {
        for &value in values {
            let bits = magnitude_bits(value);
            if bits >> FINE_BITS == self.bucket.index {
                self.counts[bits as usize & (N_FINE - 1)] += 1;
            }
        }
    }

    /// Adds the counts of another part.
    ///
    /// # Panics
    /// When that part counted another bucket.
    pub fn add(&mut self, other: &Self) {
        assert_eq!(self.bucket, other.bucket, "parts of one count are of one bucket");
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
    }

    /// The k-th largest magnitude; `None` when the same values were not counted in both passes.
    ///
    /// ```
    /// use grouping_core::stats::magnitude::{CoarseCounts, FineCounts};
    /// let parts: [&[f32]; 2] = [&[1.0, -3.0, 0.5], &[2.0, -2.0]];
    /// let mut coarse = CoarseCounts::new();
    /// parts.iter().for_each(|part| coarse.count(part));
    /// let mut fine = FineCounts::new(coarse.bucket(2).unwrap());
    /// parts.iter().for_each(|part| fine.count(part));
    /// let second = fine.kth().unwrap();
    /// assert_eq!(f32::from_bits(second.bits), 2.0);
    /// assert_eq!((second.n_equal, second.n_equal_wanted), (2, 1));
    /// ```
    pub fn kth(&self) -> Option<KthMagnitude> {
        let (index, n_equal_wanted) = kth_from_above(&self.counts, self.bucket.n_wanted)?;
        let bits = self.bucket.index << FINE_BITS | index as u32;
        Some(KthMagnitude { bits, n_equal: self.counts[index], n_equal_wanted })
    }
}

/// The `k`-th largest magnitude of `values`, counted from 1; `None` unless there are `k` values and `k > 0`.
///
/// ```
/// use grouping_core::stats::magnitude::kth_largest;
/// let second = kth_largest(&[1.0, -3.0, 0.5, 2.0, -2.0], 2).unwrap();
/// assert_eq!(f32::from_bits(second.bits), 2.0);
/// assert_eq!((second.n_equal, second.n_equal_wanted), (2, 1));
/// ```
pub fn kth_largest(values: &[f32], k: usize) -> Option<KthMagnitude> {
    let bucket = |v: f32| (magnitude_bits(v) >> SELECTED_BITS) as usize;
    let mut lanes = vec![[0u32; N_LANES]; 1 << (31 - SELECTED_BITS)];
    let mut counts = vec![0u64; lanes.len()];
    // A lane counts no further than its type.
    for part in values.chunks(1 << 30) {
        for four in part.chunks(N_LANES) {
            four.iter().enumerate().for_each(|(lane, &v)| lanes[bucket(v)][lane] += 1);
        }
        for (count, lanes) in counts.iter_mut().zip(&mut lanes) {
            *count += std::mem::take(lanes).iter().map(|&n| u64::from(n)).sum::<u64>();
        }
    }
    let (found, n_wanted) = kth_from_above(&counts, k as u64)?;
    let mut inside: Vec<u32> = Vec::with_capacity(counts[found] as usize);
    inside.extend(values.iter().filter(|&&v| bucket(v) == found).map(|&v| magnitude_bits(v)));
    let (larger, &mut bits, others) = inside.select_nth_unstable_by(n_wanted as usize - 1, |a, b| b.cmp(a));
    let equal = |part: &[u32]| part.iter().filter(|&&m| m == bits).count() as u64;
    let n_equal_wanted = equal(larger) + 1;
    Some(KthMagnitude { bits, n_equal: n_equal_wanted + equal(others), n_equal_wanted })
}

/// The bin of the `k`-th value from above, and how many of its values belong to the k.
fn kth_from_above(counts: &[u64], k: u64) -> Option<(usize, u64)> {
    let mut left = k.checked_sub(1)?;
    for (index, &count) in counts.iter().enumerate().rev() {
        if left < count {
            return Some((index, left + 1));
        }
        left -= count;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_is_that_of_the_sorted_magnitudes_in_memory_and_in_passes(
            values in prop::collection::vec(prop_oneof![Just(0.0f32), Just(-1.0), Just(1.0), -2.0f32..2.0, any::<f32>()], 1..300),
            place in any::<prop::sample::Index>(),
        ) {
            let k = place.index(values.len()) + 1;
            let mut sorted: Vec<u32> = values.iter().map(|&v| magnitude_bits(v)).collect();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            let bits = sorted[k - 1];
            let n_larger = sorted.iter().filter(|&&m| m > bits).count();
            let n_equal = sorted.iter().filter(|&&m| m == bits).count() as u64;
            let expected = KthMagnitude { bits, n_equal, n_equal_wanted: (k - n_larger) as u64 };
            prop_assert_eq!(kth_largest(&values, k), Some(expected), "in memory");
            let mut coarse = CoarseCounts::new();
            coarse.count(&values);
            let mut fine = FineCounts::new(coarse.bucket(k as u64).expect("that many values"));
            fine.count(&values);
            prop_assert_eq!(fine.kth(), Some(expected), "in passes");
        }
    }

    #[test]
    fn there_is_none_beyond_the_values() {
        for (values, k) in [(&[][..], 1), (&[2.0][..], 0), (&[2.0][..], 2)] {
            assert_eq!(kth_largest(values, k), None, "the {k}-th largest of {values:?}");
        }
    }
}
