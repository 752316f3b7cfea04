//! The logistic function of activations, from a table.
//!
//! `σ(x)` for x = 0, 1/64, … 16 as integers of 16 fractional bits, linear between them, and `σ(−x) = 1 − σ(x)`; beyond 16 the last entry.
//! The table is made by + − × ÷ alone: `e^(−1/64)` by its series, its powers by multiplying.

use super::rounding::{FRACTION_BITS, nearest, power_of_two};

/// Fractional bits of the result.
pub(crate) const SIGMOID_BITS: u32 = 16;
/// Entries a unit of x, as a power of two.
const STEP_BITS: u32 = 6;
/// Greatest x of the table.
const LAST: usize = 16;

/// The table.
#[derive(Debug)]
pub(crate) struct Sigmoid(Vec<i32>);

impl Sigmoid {
    pub(crate) fn new() -> Self {
        let x = power_of_two(-(STEP_BITS as i32));
        let decay = (1..16).rev().fold(1.0, |tail, i| 1.0 - x / f64::from(i) * tail);
        let mut power = 1.0;
        let entry = |_| {
            let value = nearest(power_of_two(SIGMOID_BITS as i32) / (1.0 + power)) as i32;
            power *= decay;
            value
        };
        Self((0..=LAST << STEP_BITS).map(entry).collect())
    }

    /// `σ(v)` with [`SIGMOID_BITS`] fractional bits.
    #[inline(always)]
    pub(crate) fn of(&self, v: i32) -> i32 {
        let between = FRACTION_BITS - STEP_BITS;
        let x = v.abs().min((LAST << FRACTION_BITS) as i32);
        let (at, rest) = ((x >> between) as usize, x & ((1 << between) - 1));
        let low = self.0[at];
        let high = self.0[(at + 1).min(self.0.len() - 1)];
        let value = low + (((high - low) * rest + (1 << (between - 1))) >> between);
        if v < 0 { (1 << SIGMOID_BITS) - value } else { value }
    }
}

#[cfg(test)]
mod tests {
    use super::Sigmoid;

    #[test]
    fn the_table_follows_the_function() {
        let sigmoid = Sigmoid::new();
        for v in (-100_000..=100_000).step_by(37) {
            let want = 65_536.0 / (1.0 + (-f64::from(v) / 4096.0).exp());
            let error = (f64::from(sigmoid.of(v)) - want).abs();
            assert!(error < 1.5, "σ({v} / 4096) is {error} steps off");
        }
        assert_eq!(sigmoid.of(0), 32_768, "σ(0)");
    }
}
