//! Ranks of the values of a row, from 1; equal values share the mean of their ranks.

use rayon::prelude::*;

/// Ranks within each row of row-major `values [n, n_cols]`; exact below 2²³ columns, where an `f32` holds halves.
pub(super) fn ranks(values: &[f32], n_cols: usize) -> Vec<f32> {
    let mut out = vec![0f32; values.len()];
    let rows = out.par_chunks_exact_mut(n_cols).zip(values.par_chunks_exact(n_cols));
    rows.for_each_init(Vec::new, |keys, (out, row)| {
        keys.clear();
        keys.extend(row.iter().zip(0u64..).map(|(&v, place)| u64::from(ordered(v)) << 32 | place));
        keys.sort_unstable();
        let mut n_before = 0;
        for equal in keys.chunk_by(|a, b| a >> 32 == b >> 32) {
            let rank = n_before as f64 + (equal.len() + 1) as f64 / 2.0;
            equal.iter().for_each(|&key| out[key as u32 as usize] = rank as f32);
            n_before += equal.len();
        }
    });
    out
}

/// Bits that are ordered as the values are; −0 is 0.
fn ordered(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 0 { bits | 1 << 31 } else { !bits }
}

#[cfg(test)]
mod tests {
    use super::ranks;

    #[test]
    fn equal_values_share_the_mean_of_their_ranks() {
        let rows = [3.0, -1.0, 3.0, 0.0, -0.0, 3.0, -7.5, 1e-45, 2.0, 2.0, 2.0, 2.0, -1.0, -2.0, 5.0, 2.0];
        let expected = [7.0, 2.0, 7.0, 3.5, 3.5, 7.0, 1.0, 5.0, 5.0, 5.0, 5.0, 5.0, 2.0, 1.0, 8.0, 5.0];
        assert_eq!(ranks(&rows, 8), expected, "two rows of eight");
    }
}
