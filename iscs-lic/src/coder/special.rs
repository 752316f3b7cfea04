//! Elementary functions in `f64` by addition, subtraction, multiplication, division and integers alone.
//!
//! The tables of an entropy coder follow from them, and a table decides bytes: a mathematics library, which differs between systems,
//! must not. IEEE 754 rounds these four operations the same everywhere, so each function gives the same bits everywhere.
//! Errors stand beside each function, in units of the last place; they are measured against 60 digits (`oracles/iscs-lic/special.py`).

/// ln 2, in two parts: the product of the first and an integer below 2²¹ is exact.
const LN2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];

/// 1/n! for n = 2, 3, ….
const INVERSE_FACTORIALS: [f64; 13] = [
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5_040.0,
    1.0 / 40_320.0,
    1.0 / 362_880.0,
    1.0 / 3_628_800.0,
    1.0 / 39_916_800.0,
    1.0 / 479_001_600.0,
    1.0 / 6_227_020_800.0,
    1.0 / 87_178_291_200.0,
];

/// Chebyshev coefficients of (1 + 2x)·exp(x²)·erfc(x) over t = (x − 3.75) / (x + 3.75) (the form of Shepherd and Laframboise, 1981).
const SCALED_ERFC: [f64; 27] = [
    1.177_578_934_567_401_7,
    -0.004_590_054_580_646_478,
    -0.084_249_133_366_517_92,
    0.059_209_939_998_191_89,
    -0.026_658_668_435_305_753,
    0.009_074_997_670_705_265,
    -0.002_413_163_540_417_608,
    0.000_490_775_836_525_808_6,
    -6.916_973_302_501_207e-5,
    4.139_027_986_073_01e-6,
    7.740_383_066_198_49e-7,
    -2.188_640_104_923_439_7e-7,
    1.076_499_946_567_091e-8,
    4.521_959_811_218_287e-9,
    -7.754_400_208_831_351e-10,
    -6.318_088_340_886_684e-11,
    2.868_795_010_930_67e-11,
    1.945_586_854_577_734_7e-13,
    -9.654_696_748_433_44e-13,
    3.252_548_148_148_74e-14,
    3.347_811_948_286_805_6e-14,
    -1.864_562_880_419_313e-15,
    -1.250_795_053_068_864_8e-15,
    7.418_235_256_624_044e-17,
    5.068_148_904_796_111e-17,
    -2.237_056_659_435_999_5e-18,
    -2.187_342_944_303_018e-18,
];

/// The nearest integer, half to even; |x| below 2⁵¹.
fn nearest(x: f64) -> f64 {
    const ROUNDING: f64 = 6_755_399_441_055_744.0; // 1.5·2⁵², whose last place is 1
    (x + ROUNDING) - ROUNDING
}

/// 2ᵏ for −1022 ≤ k ≤ 1023.
fn power_of_two(k: i32) -> f64 {
    f64::from_bits(((1023 + k) as u64) << 52)
}

/// x = k·ln 2 + r + c with |r| ≤ ½·ln 2 and c far below the last place of r: (k, r, c).
fn reduced(x: f64) -> (f64, f64, f64) {
    let k = nearest(x * std::f64::consts::LOG2_E);
    let high = x - k * LN2[0];
    let low = k * LN2[1];
    let r = high - low;
    (k, r, (high - r) - low)
}

/// eʳ⁺ᶜ − 1 for the parts of [`reduced`].
fn expm1_reduced(r: f64, c: f64) -> f64 {
    let series = INVERSE_FACTORIALS.iter().rev().fold(0.0, |sum, term| sum * r + term);
    r + (r * r * series + (c + c * r))
}

/// eˣ; below 1 ulp.
pub(crate) fn exp(x: f64) -> f64 {
    if x > 709.782_712_893_384 {
        return f64::INFINITY;
    }
    if x < -745.2 {
        return 0.0;
    }
    let (k, r, c) = reduced(x);
    let half = (k as i32) / 2;
    // In two steps, since 2ᵏ itself may be too large or too small; the first is exact.
    (1.0 + expm1_reduced(r, c)) * power_of_two(half) * power_of_two(k as i32 - half)
}

/// eˣ − 1; below 1.5 ulp.
pub(crate) fn expm1(x: f64) -> f64 {
    if !(-40.0..=700.0).contains(&x) {
        return exp(x) - 1.0;
    }
    let (k, r, c) = reduced(x);
    let scale = power_of_two(k as i32);
    // With k = 0 the second term is 0.
    scale * expm1_reduced(r, c) + (scale - 1.0)
}

/// The natural logarithm; below 1 ulp.
pub(crate) fn log(x: f64) -> f64 {
    if x.is_nan() || x < 0.0 {
        return f64::NAN;
    }
    if x == 0.0 {
        return f64::NEG_INFINITY;
    }
    if x == f64::INFINITY {
        return x;
    }
    // Below the normal numbers, scaled into them.
    let (x, below) = if x < f64::MIN_POSITIVE { (x * power_of_two(54), 54) } else { (x, 0) };
    // x = 2ᵏ·m with ½√2 ≤ m < √2.
    const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    let shifted = x.to_bits().wrapping_sub(ROOT_HALF);
    let k = ((shifted as i64) >> 52) as i32;
    let m = f64::from_bits(x.to_bits().wrapping_sub((i64::from(k) << 52) as u64));
    log_of_parts(f64::from(k - below), m - 1.0, 0.0)
}

/// k·ln 2 + ln(1 + f + c), for |f| below ½ and c a correction of f.
fn log_of_parts(k: f64, f: f64, c: f64) -> f64 {
    // ln(1 + f) = 2·artanh(s), s = f / (2 + f); written so that f itself is rounded last.
    let s = f / (2.0 + f);
    let z = s * s;
    let series = (1..=11).rev().fold(0.0, |sum, n| sum * z + 2.0 / f64::from(2 * n + 1)) * z;
    let half_square = 0.5 * f * f;
    k * LN2[0] - ((half_square - (s * (half_square + series) + (k * LN2[1] + c))) - f)
}

/// ln(1 + x); below 1.5 ulp.
pub(crate) fn log1p(x: f64) -> f64 {
    if x > -0.29 && x < 0.41 {
        return log_of_parts(0.0, x, 0.0);
    }
    let sum = 1.0 + x;
    if sum.is_infinite() {
        return sum;
    }
    // What the sum lost, relative to it.
    let lost = if x > 1.0 { 1.0 - (sum - x) } else { x - (sum - 1.0) };
    log(sum) + lost / sum
}

/// The hyperbolic tangent; below 2 ulp.
pub(crate) fn tanh(x: f64) -> f64 {
    let magnitude = x.abs();
    let value = if magnitude > 22.0 {
        1.0
    } else {
        let double = expm1(2.0 * magnitude);
        double / (double + 2.0)
    };
    if x.is_sign_negative() { -value } else { value }
}

/// The complementary error function; below 4 ulp, and without loss in the tail.
pub(crate) fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        return 2.0 - erfc(-x);
    }
    if x < 0.5 {
        // erf(x) = 2/√π·Σ (−1)ⁿ·x²ⁿ⁺¹ / (n!·(2n + 1)).
        let z = -x * x;
        let mut factorial = 1.0;
        let mut terms = [1.0; 14];
        for (n, term) in terms.iter_mut().enumerate().skip(1) {
            factorial *= n as f64;
            *term = 1.0 / (factorial * (2 * n + 1) as f64);
        }
        let series = terms.iter().rev().fold(0.0, |sum, term| sum * z + term);
        return 1.0 - std::f64::consts::FRAC_2_SQRT_PI * (x * series);
    }
    if x > 27.3 {
        return 0.0;
    }
    exp_of_minus_square(x) * scaled_erfc(x)
}

/// exp(−x²), with the square in two parts.
fn exp_of_minus_square(x: f64) -> f64 {
    let high = f64::from_bits(x.to_bits() & !0xffff_ffff);
    // high² is exact: 21 bits times 21 bits.
    let rest = (x - high) * (x + high);
    exp(-(high * high)) * (1.0 + expm1(-rest))
}

/// exp(x²)·erfc(x) for x ≥ ½.
fn scaled_erfc(x: f64) -> f64 {
    let t = (x - 3.75) / (x + 3.75);
    // Clenshaw's recurrence.
    let (mut b1, mut b2) = (0.0, 0.0);
    for c in SCALED_ERFC[1..].iter().rev() {
        (b1, b2) = (2.0 * t * b1 - b2 + c, b1);
    }
    (SCALED_ERFC[0] + (t * b1 - b2)) / (1.0 + 2.0 * x)
}

/// The quantile of the standard normal distribution: the x with Φ(x) = p, for 0 < p < 1; relative error below 1e-14.
///
/// Newton's iteration on ln Φ, which is concave and rises: it converges from anywhere.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    if p.is_nan() || p <= 0.0 || p >= 1.0 {
        return if p == 0.0 {
            f64::NEG_INFINITY
        } else if p == 1.0 {
            f64::INFINITY
        } else {
            f64::NAN
        };
    }
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    const ROOT_HALF: f64 = std::f64::consts::FRAC_1_SQRT_2;
    // φ(x) / Φ(x) = √(2/π) / (exp(x²/2)·erfc(−x/√2)).
    const ROOT_TWO_OVER_PI: f64 = 0.797_884_560_802_865_4;
    let wanted = log(p);
    let mut x = 0.0;
    for _ in 0..40 {
        let a = -x * ROOT_HALF;
        let scaled = if a < 0.5 { exp(a * a) * erfc(a) } else { scaled_erfc(a) };
        let step = (wanted - (log(0.5 * scaled) - 0.5 * x * x)) * scaled / ROOT_TWO_OVER_PI;
        x += step;
        if step.abs() <= 1e-15 * x.abs() {
            break;
        }
    }
    x.min(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Function = (&'static str, fn(f64) -> f64, f64);

    /// The distance in units of the last place of what is right.
    fn ulps(found: f64, right: f64) -> f64 {
        if found == right {
            return 0.0;
        }
        let place = (f64::from_bits(right.abs().to_bits() + 1) - right.abs()).max(f64::from_bits(1));
        ((found - right) / place).abs()
    }

    #[test]
    fn functions_are_within_their_bounds_of_sixty_digits() {
        let text = include_str!("../../tests/data/special.json");
        let goldens: std::collections::BTreeMap<String, Vec<(String, String)>> =
            serde_json::from_str(text).expect("the goldens are pairs of digits");
        let functions: [Function; 7] = [
            ("exp", exp, 1.0),
            ("expm1", expm1, 1.5),
            ("log", log, 1.0),
            ("log1p", log1p, 1.5),
            ("tanh", tanh, 2.0),
            ("erfc", erfc, 4.0),
            // 1e-14 of a value is 45 to 90 of its last places.
            ("normal_quantile", normal_quantile, 90.0),
        ];
        let number = |digits: &str| f64::from_bits(u64::from_str_radix(digits, 16).expect("16 digits"));
        for (name, function, most) in functions {
            let mut worst = (0.0, 0.0);
            for (x, right) in &goldens[name] {
                let x = number(x);
                let found = ulps(function(x), number(right));
                if found > worst.0 {
                    worst = (found, x);
                }
            }
            assert!(worst.0 <= most, "{name}({}) is {} ulp off, {most} are allowed", worst.1, worst.0);
        }
    }

    #[test]
    fn ends_of_the_range_are_exact() {
        assert_eq!(exp(0.0).to_bits(), 1f64.to_bits(), "e⁰");
        assert_eq!((exp(1000.0), exp(-1000.0)), (f64::INFINITY, 0.0), "beyond the range of f64");
        assert_eq!((log(0.0), log(1.0), log(f64::INFINITY)), (f64::NEG_INFINITY, 0.0, f64::INFINITY), "ln");
        assert!(
            log(-1.0).is_nan() && exp(f64::NAN).is_nan() && erfc(f64::NAN).is_nan(),
            "no number stays none"
        );
        assert_eq!((tanh(30.0), tanh(-30.0), tanh(-0.0).to_bits()), (1.0, -1.0, (-0f64).to_bits()), "tanh");
        assert_eq!((erfc(0.0), erfc(40.0), erfc(-40.0)), (1.0, 0.0, 2.0), "erfc");
        assert_eq!(normal_quantile(0.5), 0.0, "the median");
        assert_eq!(normal_quantile(0.25), -normal_quantile(0.75), "symmetric");
    }
}
