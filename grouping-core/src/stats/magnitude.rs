//! The k-th largest magnitude of `f32` values that are too many to hold: exact, by counting them twice.
//!
//! The bits of a magnitude rise with it, so the first pass counts the upper 16 of its 31 bits ([`CoarseCounts`]) and finds
//! the bucket that holds the k-th largest value; the second counts the lower 15 bits of that bucket's values
//! ([`FineCounts`]). Counts of parts add up, in any order. Memory: 512 and 256 kB.

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
