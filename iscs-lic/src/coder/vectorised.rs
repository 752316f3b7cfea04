//! The exponential and ln(1 + x) in `f32` as PyTorch's vectorised CPU code computes them, bit for bit.
//!
//! The algorithms and their polynomials are those of SLEEF (`expf` and `log1pf` of 1.0 ulp; Shibata and Petrogalli, 2020), which PyTorch
//! calls on AVX2 and AVX-512 alike. They are not rounded correctly, and a table of a learned prior shows it: with correct rounding every
//! tenth row differs from CompressAI's by a count. Here too nothing but + − × ÷ computes; the fused multiply-add is made of them.

/// a·b + c, rounded once.
pub(super) fn fma(a: f32, b: f32, c: f32) -> f32 {
    // The product is exact: 24 bits times 24 bits.
    let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let sum = product + c;
    // What the sum lost (Knuth).
    let of_c = sum - product;
    let lost = (product - (sum - of_c)) + (c - of_c);
    // Rounded to odd, so that the second rounding is the only one that counts.
    let bits = sum.to_bits();
    let odd = if lost == 0.0 || lost.is_nan() || bits & 1 == 1 {
        bits
    } else if (lost > 0.0) == (sum > 0.0) {
        bits + 1
    } else {
        bits - 1
    };
    f64::from_bits(odd) as f32
}

/// The nearest integer, half to even; |x| below 2²².
fn nearest(x: f32) -> f32 {
    const ROUNDING: f32 = 12_582_912.0; // 1.5·2²³, whose last place is 1
    (x + ROUNDING) - ROUNDING
}

/// 2ᵏ·x, rounded once.
fn scaled(x: f32, k: i32) -> f32 {
    // Exact in `f64`.
    (f64::from(x) * f64::from_bits(((1023 + k) as u64) << 52)) as f32
}

/// eˣ.
pub(super) fn exp(x: f32) -> f32 {
    if x < -104.0 {
        return 0.0;
    }
    if x > 100.0 {
        return f32::INFINITY;
    }
    let k = nearest(x * std::f32::consts::LOG2_E);
    // ln 2 in two parts.
    let s = fma(k, -1.428_606_8e-6, fma(k, -0.693_145_75, x));
    let polynomial = [0.001_393_043_6, 0.008_333_361, 0.041_666_485, 0.166_666_67, 0.5];
    let u = polynomial.into_iter().fold(0.000_198_527_62, |u, c| fma(u, s, c));
    scaled(1.0 + fma(s * s, u, s), k as i32)
}

/// A number in two parts, the second far smaller.
#[derive(Clone, Copy)]
struct Pair(f32, f32);

impl Pair {
    /// Of a number and one that is not larger.
    fn sum(a: f32, b: f32) -> Self {
        let s = a + b;
        Self(s, (a - s) + b)
    }

    fn plus(self, other: Self) -> Self {
        let s = self.0 + other.0;
        Self(s, (((self.0 - s) + other.0) + self.1) + other.1)
    }

    fn plus_one(self, other: f32) -> Self {
        let s = self.0 + other;
        Self(s, ((self.0 - s) + other) + self.1)
    }

    fn times(self, factor: f32) -> Self {
        let s = self.0 * factor;
        Self(s, fma(self.1, factor, fma(self.0, factor, -s)))
    }

    /// `numerator` / self.
    fn divides(self, numerator: f32) -> Self {
        let inverse = 1.0 / self.0;
        let s = numerator * inverse;
        let rounding = fma(inverse, numerator, -s);
        let rest = fma(-self.1, inverse, fma(-self.0, inverse, 1.0));
        Self(s, fma(s, rest, fma(0.0, inverse, rounding)))
    }
}

/// ln(1 + x) for a positive x below 2⁹⁰.
pub(super) fn log1p(x: f32) -> f32 {
    // 1 + x = 2ᵏ·(1 + m).
    let k = i32::from(((((x + 1.0) * (1.0 / 0.75)).to_bits() >> 23) & 0xff) as u8) - 127;
    let scale = f32::from_bits(((127 - k) << 23) as u32);
    let m = fma(x, scale, scale - 1.0);
    let s = Pair(std::f32::consts::LN_2, -1.904_654_3e-9).times(k as f32);
    let quotient = Pair::sum(2.0, m).divides(m);
    let square = quotient.0 * quotient.0;
    let u = fma(fma(0.302_729_5, square, 0.399_610_82), square, 0.666_669_5);
    let s = s.plus(Pair(quotient.0 * 2.0, quotient.1 * 2.0)).plus_one((square * quotient.0) * u);
    s.0 + s.1
}

#[cfg(test)]
mod tests {
    use super::super::special;
    use super::*;

    /// A function, and arguments and values by their bits.
    type Goldens = std::collections::BTreeMap<String, Vec<[u32; 2]>>;
    type Function = (&'static str, fn(f32) -> f32);

    #[test]
    fn values_are_those_of_pytorch() {
        let text = include_str!("../../tests/data/vectorised.json");
        let goldens: Goldens = serde_json::from_str(text).expect("the goldens are pairs of bits");
        let functions: [Function; 3] = [
            ("sigmoid", |x| 1.0 / (1.0 + exp(-x))),
            ("softplus", |x| if x > 20.0 { x } else { log1p(exp(x)) }),
            ("log1p", log1p),
        ];
        for (name, function) in functions {
            assert!(goldens[name].len() >= 1000, "there are values of {name}");
            for &[x, right] in &goldens[name] {
                let x = f32::from_bits(x);
                assert_eq!(function(x), f32::from_bits(right), "{name}({x})");
            }
        }
    }

    #[test]
    fn fused_products_are_rounded_once() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // From 2⁻²⁰ to 2²⁰, of both signs.
            let exponent = 107 + (state >> 40) as u32 % 40;
            f32::from_bits(((state >> 32) as u32 & 0x807f_ffff) | exponent << 23)
        };
        for _ in 0..100_000 {
            let (a, b, c) = (next(), next(), next());
            assert_eq!(fma(a, b, c), a.mul_add(b, c), "{a}·{b} + {c}");
        }
    }

    #[test]
    fn values_are_near_those_of_sixty_digits() {
        for i in -800..200 {
            let x = i as f32 / 10.0;
            let right = special::exp(f64::from(x));
            assert!((f64::from(exp(x)) / right - 1.0).abs() < 1.3e-7, "exp({x})");
            let x = exp(x.min(20.0));
            let right = special::log1p(f64::from(x));
            assert!((f64::from(log1p(x)) / right - 1.0).abs() < 1.3e-7, "log1p({x})");
        }
    }
}
