//! Independent seeds from one: `derive_seed(seed, i)` for the i-th stream.
//!
//! The mixing function is SplitMix64's finaliser (Steele, Lea, Flood 2014), applied to the seed and the stream in turn.

/// The seed of stream `stream` of `seed`.
///
/// ```
/// use grouping_core::seed::derive_seed;
/// assert_ne!(derive_seed(7, 0), derive_seed(7, 1));
/// assert_ne!(derive_seed(0, 7), derive_seed(7, 0));
/// ```
pub fn derive_seed(seed: u64, stream: u64) -> u64 {
    mix(mix(seed) ^ stream)
}

/// The `index`-th number of the sequence of SplitMix64 that starts at `seed`, for draws in any order.
///
/// ```
/// use grouping_core::seed::sequence;
/// // The reference implementation's first numbers for the seed 1234567.
/// assert_eq!([0, 1].map(|i| sequence(1234567, i)), [6457827717110365317, 3203168211198807973]);
/// ```
#[inline(always)]
pub fn sequence(seed: u64, index: u64) -> u64 {
    mix(seed.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

#[inline(always)]
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}
