//! Integers from the floats of a checkpoint: weights with a step of their own for each output channel.
//!
//! A channel's step is `m · 2⁻ʳ`, with 128 ≤ m < 256 where r is not at an end of its range: the least such value that is not below
//! `max|w| / limit`. A weight is `w / step`, rounded, so that multiplying a sum by `m` and shifting it by `r` undoes the step exactly.

use std::path::Path;

use super::rounding::{FRACTION_BITS, LIMIT, nearest, power_of_two};
use crate::{Error, Result};

/// Greatest magnitude of a weight that decides symbols: 8 bits.
pub(crate) const SYMBOL_WEIGHT: i16 = 127;
/// Greatest magnitude of a weight that decides pixels: 12 bits.
pub(crate) const PIXEL_WEIGHT: i16 = 2047;
/// The finest step is 128 · 2⁻³¹.
const MAX_SHIFT: u32 = 31;
/// Sums of magnitudes of a channel's weights stay below it, so that sums, multiplied, fit 62 bits.
const MAX_MAGNITUDES: i64 = 1 << 30;

/// The step of a channel, `multiplier · 2^−shift`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) multiplier: i64,
    pub(crate) shift: u32,
}

impl Step {
    /// The least step that represents magnitudes up to `largest` by integers up to `limit`, its shift at least `min_shift`.
    fn covering(largest: f64, limit: i16, min_shift: u32) -> Option<Self> {
        let target = largest / f64::from(limit);
        let fits = |shift: u32| target * power_of_two(shift as i32) < 255.0;
        let shift = (min_shift..=MAX_SHIFT).rev().find(|&shift| fits(shift)).unwrap_or(min_shift);
        let scaled = target * power_of_two(shift as i32);
        if scaled > 32_767.0 {
            return None;
        }
        let floor = scaled as i64;
        let multiplier = if (floor as f64) < scaled { floor + 1 } else { floor };
        Some(Self { multiplier: multiplier.max(128), shift })
    }

    /// Its value, exactly.
    fn value(self) -> f64 {
        self.multiplier as f64 * power_of_two(-(self.shift as i32))
    }
}

/// The integers of one layer: rows are what one step belongs to, an output channel.
#[derive(Debug)]
pub(crate) struct Rows {
    /// `[row][column]`.
    pub(crate) weights: Vec<i16>,
    pub(crate) steps: Vec<Step>,
}

/// Which tensor is being quantised, for errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) path: &'a Path,
    pub(crate) name: &'a str,
}

impl Named<'_> {
    pub(crate) fn refuse(self, expected: impl Into<String>, found: impl ToString) -> Error {
        Error::format(self.path, self.name, expected, found)
    }
}

/// Quantises `n_rows` rows of equal length to integers of at most `limit`, each row with its step.
pub(crate) fn rows(
    values: &[f32],
    n_rows: usize,
    limit: i16,
    min_shift: u32,
    named: Named<'_>,
) -> Result<Rows> {
    let len = values.len() / n_rows.max(1);
    let (mut weights, mut steps) = (Vec::with_capacity(values.len()), Vec::with_capacity(n_rows));
    for row in values.chunks_exact(len.max(1)) {
        let largest = f64::from(row.iter().fold(0.0f32, |most, w| most.max(w.abs())));
        let step = Step::covering(largest, limit, min_shift)
            .ok_or_else(|| named.refuse("weights that 16 bits and a step hold", largest))?;
        let value = step.value();
        let from = weights.len();
        weights.extend(row.iter().map(|&w| nearest(f64::from(w) / value) as i16));
        let magnitudes: i64 = weights[from..].iter().map(|&w| i64::from(w).abs()).sum();
        if magnitudes.saturating_mul(step.multiplier.max(256) / 256) > MAX_MAGNITUDES {
            return Err(named.refuse("weights whose sums stay below 2³⁰", magnitudes));
        }
        steps.push(step);
    }
    Ok(Rows { weights, steps })
}

/// A bias in units of a multiplied sum, `2^−(12 + shift)`.
pub(crate) fn bias(value: f32, step: Step, named: Named<'_>) -> Result<i64> {
    if value.abs() > LIMIT as f32 / (1 << FRACTION_BITS) as f32 {
        return Err(named.refuse("a bias within ±2,048", value));
    }
    Ok(nearest(f64::from(value) * power_of_two((FRACTION_BITS + step.shift) as i32)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Named, PIXEL_WEIGHT, SYMBOL_WEIGHT, Step, rows};

    #[test]
    fn a_step_is_the_least_of_eight_bits() {
        for largest in [1e-3, 0.02, 0.5, 0.701_343_9, 1.0, 7.3, 127.0] {
            for limit in [SYMBOL_WEIGHT, PIXEL_WEIGHT] {
                let step = Step::covering(largest, limit, 4).expect("a step");
                assert!((128..=255).contains(&step.multiplier), "{step:?} for {largest}");
                let target = largest / f64::from(limit);
                assert!(step.value() >= target, "{step:?} represents {largest}");
                let less = Step { multiplier: step.multiplier - 1, ..step };
                assert!(less.value() < target, "{less:?} would do for {largest}");
            }
        }
    }

    #[test]
    fn steps_have_ends() {
        let none = Step::covering(0.0, SYMBOL_WEIGHT, 4).expect("a step of zeros");
        assert_eq!(none, Step { multiplier: 128, shift: 31 }, "zeros take the finest step");
        assert_eq!(Step::covering(1e9, SYMBOL_WEIGHT, 4), None, "no step of 16 bits");
    }

    #[test]
    fn weights_are_within_half_a_step() {
        let values: Vec<f32> = (0..60).map(|i| (i * 37 % 61 - 30) as f32 * 0.011_3).collect();
        let named = Named { path: Path::new("memory"), name: "w" };
        let rows = rows(&values, 6, SYMBOL_WEIGHT, 4, named).expect("rows");
        for (i, (&w, v)) in rows.weights.iter().zip(&values).enumerate() {
            let step = rows.steps[i / 10].value();
            assert!((f64::from(w) * step - f64::from(*v)).abs() <= step / 2.0, "weight {i}");
            assert!(w.abs() <= SYMBOL_WEIGHT, "weight {i} is {w}");
        }
    }
}
