//! Probabilities → cumulative counts of 65,536 in which no symbol has none (CompressAI's `pmf_to_quantized_cdf`).
//!
//! Each probability becomes round(p·2¹⁶) counts, half away from zero; the counts are scaled by 2¹⁶ over their sum, downwards; the last symbol
//! takes what the scaling leaves over. Then each symbol without a count takes one from the smallest that has more than one.

use crate::{Error, Result};

/// Counts that the symbols of a table share: 2¹⁶.
pub(crate) const TOTAL: u32 = 1 << 16;

/// Cumulative counts, from 0 to 65,536, one more than there are probabilities; strictly increasing.
///
/// # Errors
///
/// [`Error::Coding`] for a probability that is negative or not finite, for none above 2⁻¹⁷, and for too many symbols.
pub(crate) fn cumulative_counts(probabilities: &[f32]) -> Result<Vec<u32>> {
    let n = probabilities.len();
    if n == 0 || n >= TOTAL as usize {
        return Err(Error::coding("probabilities of a table", "from 1 to 65,535 of them", n));
    }
    let mut widths = Vec::with_capacity(n);
    for &p in probabilities {
        let scaled = f64::from(p) * f64::from(TOTAL);
        // −0.5 still rounds to a count that is not negative: what is left of a difference of equals.
        if !(scaled > -0.5 && scaled <= f64::from(u16::MAX) * 4.0) {
            return Err(Error::coding("probability of a table", "a number from 0 to 1", p));
        }
        // The sum is exact, so the integer part is the rounded value.
        widths.push((scaled + 0.5) as u32);
    }
    let sum: u64 = widths.iter().map(|&width| u64::from(width)).sum();
    if sum == 0 {
        return Err(Error::coding("probabilities of a table", "one above 2⁻¹⁷", "none"));
    }
    for width in &mut widths {
        *width = (u64::from(*width) * u64::from(TOTAL) / sum) as u32;
    }
    let scaled: u32 = widths.iter().sum();
    widths[n - 1] += TOTAL - scaled;
    fill_empty(&mut widths);
    let mut counts = Vec::with_capacity(n + 1);
    let mut total = 0;
    counts.push(0);
    counts.extend(widths.iter().map(|width| {
        total += width;
        total
    }));
    Ok(counts)
}

/// Gives each empty symbol a count of the smallest one with more than one; of equals, the first.
///
/// A symbol that has given stays the smallest until it has one left: so the givers are taken in the order of their widths, each until it is exhausted.
fn fill_empty(widths: &mut [u32]) {
    let mut givers: Vec<usize> = (0..widths.len()).filter(|&i| widths[i] > 1).collect();
    givers.sort_by_key(|&i| widths[i]);
    let mut givers = givers.into_iter().peekable();
    for i in 0..widths.len() {
        if widths[i] == 0 {
            // There are fewer symbols than counts: one has more than one as long as another has none.
            let giver = *givers.peek().expect("a symbol with counts to give");
            widths[giver] -= 1;
            widths[i] = 1;
            if widths[giver] == 1 {
                givers.next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_symbol_takes_what_is_left_over() {
        let third = 1.0 / 3.0;
        assert_eq!(
            cumulative_counts(&[third; 3]).expect("valid"),
            [0, 21_845, 43_690, 65_536],
            "21,846 at the end"
        );
    }

    #[test]
    fn empty_symbols_take_from_the_smallest() {
        // 10, 0, 3, 0, 0, 3 and the rest: the first 3 gives two, then the second gives one.
        let of = |counts: u32| counts as f32 / 65_536.0;
        let pmf = [of(10), 0.0, of(3), 0.0, 0.0, of(3), of(65_520)];
        let counts = cumulative_counts(&pmf).expect("valid");
        let widths: Vec<u32> = counts.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(widths, [10, 1, 1, 1, 1, 2, 65_520], "of the smallest, the first");
    }

    #[test]
    fn nonsense_is_refused() {
        for pmf in [&[f32::NAN, 1.0][..], &[-0.5, 1.0], &[f32::INFINITY], &[0.0, 0.0], &[]] {
            assert!(cumulative_counts(pmf).is_err(), "{pmf:?} is no distribution");
        }
    }

    proptest! {
        #[test]
        fn counts_rise_strictly_to_the_total(pmf in prop::collection::vec(0f32..1.0, 1..400)) {
            prop_assume!(pmf.iter().any(|&p| p > 0.001));
            let counts = cumulative_counts(&pmf).expect("probabilities");
            prop_assert_eq!((counts[0], counts[pmf.len()]), (0, TOTAL));
            prop_assert!(counts.is_sorted_by(|a, b| a < b), "{:?}", counts);
        }
    }
}
