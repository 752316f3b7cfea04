//! The one rounding rule of the integer networks, saturation, and the exact roundings that derive integers from a checkpoint.
//!
//! At run time `round(v / 2ᵏ) = (v + 2ᵏ⁻¹) >> k`: halves go up. At load, where `f64` becomes an integer, halves go to even.
//! Floats enter only as exact values under + − × ÷, which IEEE 754 defines to the bit.

/// Fractional bits of an activation.
pub const FRACTION_BITS: u32 = 12;
/// Greatest magnitude of an activation: 2,048 less one step.
pub const LIMIT: i32 = (1 << 23) - 1;

/// `v / 2^bits`, halves upwards; `v` itself for no bits.
#[inline(always)]
pub(crate) fn shift(v: i64, bits: u32) -> i64 {
    let half = (1i64 << bits) >> 1;
    (v + half) >> bits
}

/// The nearest activation.
#[inline(always)]
pub(crate) fn saturate(v: i64) -> i32 {
    v.clamp(-(LIMIT as i64), LIMIT as i64) as i32
}

/// The integer nearest to `v`, halves to even, for |v| < 2⁶².
pub(crate) fn nearest(v: f64) -> i64 {
    assert!(v.abs() < (1i64 << 62) as f64, "{v} is no integer of 62 bits");
    let whole = v as i64;
    // Exact: below 2⁵³ both lie within a factor of two or the difference is v itself; above, v is whole.
    let rest = v - whole as f64;
    let away = rest.abs() > 0.5 || (rest.abs() == 0.5 && whole % 2 != 0);
    if away { whole + if rest > 0.0 { 1 } else { -1 } } else { whole }
}

/// `2^exponent`, exactly.
pub(crate) fn power_of_two(exponent: i32) -> f64 {
    assert!((-1022..=1023).contains(&exponent), "2^{exponent} is no normal f64");
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// A value of a checkpoint as an activation.
pub(crate) fn activation(v: f32) -> i32 {
    let limit = f64::from(LIMIT);
    nearest((f64::from(v) * power_of_two(FRACTION_BITS as i32)).clamp(-limit, limit)) as i32
}

#[cfg(test)]
mod tests {
    use super::{LIMIT, activation, nearest, power_of_two, saturate, shift};

    #[test]
    fn halves_go_up_at_run_time() {
        let cases = [(6, 2, 2), (-6, 2, -1), (5, 2, 1), (-5, 2, -1), (7, 2, 2), (-7, 2, -2), (9, 0, 9)];
        for (v, bits, want) in cases {
            assert_eq!(shift(v, bits), want, "{v} / 2^{bits}");
        }
    }

    #[test]
    fn halves_go_to_even_at_load() {
        for (v, want) in [(0.5, 0), (1.5, 2), (-0.5, 0), (-1.5, -2), (2.5, 2), (0.500_001, 1), (-3.7, -4)] {
            assert_eq!(nearest(v), want, "{v}");
        }
        assert_eq!(nearest(power_of_two(60)), 1 << 60, "a whole number of 61 bits");
    }

    #[test]
    fn activations_saturate() {
        assert_eq!(saturate(i64::from(LIMIT) + 1), LIMIT, "above");
        assert_eq!(saturate(-(1 << 40)), -LIMIT, "below");
        assert_eq!(activation(1e30), LIMIT, "a value of a checkpoint");
        assert_eq!(activation(-0.25), -1024, "an exact one");
    }
}
