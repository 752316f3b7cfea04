//! Run-time choice of the instruction set, and vectorised building blocks.
//!
//! A loop is written once, in plain Rust that LLVM turns into vector code. [`dispatch!`] compiles it for AVX-512, for AVX2
//! with FMA, and for the target's baseline, and calls the variant of the given [`Level`]. The loop is generic over [`Lanes`],
//! which says how that variant multiplies and adds; loops that use no [`Lanes::mul_add`] give the same bits at every level.

/// Independent accumulators of a sum: LLVM never reorders float additions by itself.
pub const LANES: usize = 16;

/// An instruction set that this CPU has; only detection makes one, so a level is always safe to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(Isa);

/// The instruction sets that loops are compiled for; exhaustive, because [`dispatch!`] answers each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// What the compilation target guarantees.
    Baseline,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, DQ, VL and BW.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// The best level of this CPU.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("fma")
            {
                return Self(Isa::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self(Isa::Avx2);
            }
        }
        Self(Isa::Baseline)
    }

    /// Every level that this CPU can run, the best last: for tests, which compare them.
    pub fn supported() -> Vec<Self> {
        let mut levels = vec![Self(Isa::Baseline)];
        #[cfg(target_arch = "x86_64")]
        match Self::detect().0 {
            Isa::Baseline => {}
            Isa::Avx2 => levels.push(Self(Isa::Avx2)),
            Isa::Avx512 => levels.extend([Self(Isa::Avx2), Self(Isa::Avx512)]),
        }
        levels
    }

    /// Its instruction set.
    pub fn isa(self) -> Isa {
        self.0
    }
}

/// How an instruction set multiplies and adds.
pub trait Lanes {
    /// `a · b + c`, fused where that is one instruction.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// One rounding, one instruction: AVX2, AVX-512 and the baseline of 64-bit ARM.
#[derive(Debug)]
pub struct Fused;

/// Two roundings; a fused form would be a library call on these targets.
#[cfg(not(target_arch = "aarch64"))]
#[derive(Debug)]
pub struct Separate;

impl Lanes for Fused {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

#[cfg(not(target_arch = "aarch64"))]
impl Lanes for Separate {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// The arithmetic of the baseline.
#[cfg(target_arch = "aarch64")]
pub type BaselineLanes = Fused;
/// The arithmetic of the baseline.
#[cfg(not(target_arch = "aarch64"))]
pub type BaselineLanes = Separate;

#[doc(hidden)]
#[macro_export]
macro_rules! __dispatch {
    ($(#[$doc:meta])* $vis:vis $name:ident = $kernel:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $out:ty)?) => {
        $(#[$doc])*
        $vis fn $name(level: $crate::simd::Level, $($arg: $ty),*) $(-> $out)? {
            use $crate::simd::{BaselineLanes, Isa};
            match level.isa() {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => {
                    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
                    fn avx512($($arg: $ty),*) $(-> $out)? {
                        $kernel::<$crate::simd::Fused>($($arg),*)
                    }
                    // SAFETY: a level of AVX-512 is made only where the CPU has these features.
                    unsafe { avx512($($arg),*) }
                }
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => {
                    #[target_feature(enable = "avx2,fma")]
                    fn avx2($($arg: $ty),*) $(-> $out)? {
                        $kernel::<$crate::simd::Fused>($($arg),*)
                    }
                    // SAFETY: a level of AVX2 is made only where the CPU has these features.
                    unsafe { avx2($($arg),*) }
                }
                Isa::Baseline => $kernel::<BaselineLanes>($($arg),*),
            }
        }
    };
}

/// Defines `$name(level, args…)`, with any visibility, which runs the generic loop `$kernel::<Lanes>` compiled for that level.
///
/// The loop and what it calls must be `#[inline(always)]`, so that they become part of each variant.
///
/// ```
/// use grouping_core::simd::{Lanes, Level, dispatch};
///
/// dispatch!(
///     /// `y ← a·x + y`.
///     pub axpy = axpy_kernel(a: f32, x: &[f32], y: &mut [f32])
/// );
///
/// #[inline(always)]
/// fn axpy_kernel<L: Lanes>(a: f32, x: &[f32], y: &mut [f32]) {
///     y.iter_mut().zip(x).for_each(|(y, &x)| *y = L::mul_add(a, x, *y));
/// }
///
/// let mut y = [1., 2., 3.];
/// axpy(Level::detect(), 2., &[1., 1., 1.], &mut y);
/// assert_eq!(y, [3., 4., 5.]);
/// ```
#[doc(inline)]
pub use __dispatch as dispatch;

/// Adding it to an f32 of magnitude below 2²² rounds that to an integer, held in the low bits of the sum.
const ROUND_TO_INT: f32 = 12_582_912.0;
/// Below it `exp` is not a normal f32; the result is 0.
const EXP_MIN: f32 = -87.33;
/// Above it `exp` overflows.
const EXP_MAX: f32 = 88.722_83;

/// `eˣ` within 2 units in the last place; 0 where the result would be subnormal (x < −87.33), ∞ above 88.72, NaN of NaN.
///
/// Branch-free, so that LLVM vectorises it: x = k·ln 2 + r, a polynomial in r, and k added to the exponent's bits.
#[inline(always)]
pub fn exp<L: Lanes>(x: f32) -> f32 {
    let clamped = x.clamp(EXP_MIN, EXP_MAX);
    let shifted = L::mul_add(clamped, std::f32::consts::LOG2_E, ROUND_TO_INT);
    let k = shifted - ROUND_TO_INT;
    // ln 2 in two parts: the first times k is exact.
    let r = L::mul_add(k, 2.121_944_4e-4, L::mul_add(k, -0.693_359_4, clamped));
    let mut p = L::mul_add(1.987_569_1e-4, r, 1.398_199_9e-3);
    p = L::mul_add(p, r, 8.333_452e-3);
    p = L::mul_add(p, r, 4.166_579_6e-2);
    p = L::mul_add(p, r, 0.166_666_66);
    p = L::mul_add(p, r, 0.5);
    let y = L::mul_add(p * r, r, r) + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND_TO_INT.to_bits()) << 23;
    let y = f32::from_bits(y.to_bits().wrapping_add(exponent));
    if x < EXP_MIN {
        0.0
    } else if x <= EXP_MAX {
        y
    } else {
        x + f32::INFINITY
    }
}

/// `1 / (1 + e⁻ˣ)`.
#[inline(always)]
pub fn sigmoid<L: Lanes>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<L>(-x))
}

/// Up to it [`erf`] is a polynomial in x², above it 1 minus an exponential.
const ERF_SPLIT: f32 = 0.93;
/// From it on `erf` is 1 to the last digit of an f32.
const ERF_ONE: f32 = 4.0;

/// The error function within 1.2 · 10⁻⁷ (two units in the last place near 1); NaN of NaN.
///
/// Branch-free, so that LLVM vectorises it: `x + x·p(x²)` near zero, `1 − exp(−t + t·q(t))` with t = |x| beyond, p and q fitted
/// by least maximal error (5 · 10⁻¹⁰ relative and 7 · 10⁻¹⁰ absolute before rounding).
#[inline(always)]
pub fn erf<L: Lanes>(x: f32) -> f32 {
    let s = x * x;
    let mut p = L::mul_add(8.316_824e-5, s, -8.130_026_4e-4);
    p = L::mul_add(p, s, 5.199_908_3e-3);
    p = L::mul_add(p, s, -2.685_894_3e-2);
    p = L::mul_add(p, s, 0.112_836_875);
    p = L::mul_add(p, s, -0.376_126_32);
    p = L::mul_add(p, s, 0.128_379_17);
    let near = L::mul_add(p, x, x);
    let t = x.abs().min(ERF_ONE);
    let mut q = L::mul_add(-1.152_248_1e-5, t, 3.256_544_6e-4);
    q = L::mul_add(q, t, -3.653_770_8e-3);
    q = L::mul_add(q, t, 2.378_536e-2);
    q = L::mul_add(q, t, -0.106_263_16);
    q = L::mul_add(q, t, -0.635_135_9);
    q = L::mul_add(q, t, -0.128_652_17);
    let far = 1.0 - exp::<L>(L::mul_add(q, t, -t));
    if x.abs() > ERF_SPLIT { far.copysign(x) } else { near }
}

/// `Σᵢ term(i)` over `0..n`, in [`LANES`] interleaved partial sums; `term` receives the sum so far.
#[inline(always)]
pub fn accumulate(n: usize, term: impl Fn(usize, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = n / LANES * LANES;
    for first in (0..whole).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum = term(first + lane, *sum);
        }
    }
    let tail = (whole..n).fold(0.0, |sum, i| term(i, sum));
    sum_of(lanes) + tail
}

/// The sum of the lanes, pairwise.
#[inline(always)]
pub fn sum_of(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The greatest of `values` (NaN is passed over); −∞ of none.
#[inline(always)]
pub fn max(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let tail = chunks.remainder();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    lanes.iter().chain(tail).fold(f32::NEG_INFINITY, |best, &value| if value > best { value } else { best })
}

#[cfg(test)]
mod tests {
    use super::{Lanes, Level, accumulate, dispatch, erf, exp, max};

    dispatch!(exp_all = exp_kernel(x: &[f32], y: &mut [f32]));
    dispatch!(erf_all = erf_kernel(x: &[f32], y: &mut [f32]));
    dispatch!(sum_of_squares = sum_kernel(x: &[f32]) -> f32);

    #[inline(always)]
    fn exp_kernel<L: Lanes>(x: &[f32], y: &mut [f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = exp::<L>(*x);
        }
    }

    #[inline(always)]
    fn erf_kernel<L: Lanes>(x: &[f32], y: &mut [f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = erf::<L>(*x);
        }
    }

    #[inline(always)]
    fn sum_kernel<L: Lanes>(x: &[f32]) -> f32 {
        accumulate(x.len(), |i, sum| L::mul_add(x[i], x[i], sum))
    }

    /// Every 1009th f32 from 0 to 200, with both signs.
    fn probes() -> Vec<f32> {
        let magnitudes = (0..200f32.to_bits()).step_by(1009).map(f32::from_bits);
        magnitudes.flat_map(|x| [x, -x]).collect()
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place_at_every_level() {
        let x = probes();
        for level in Level::supported() {
            let mut y = vec![0.0; x.len()];
            exp_all(level, &x, &mut y);
            let mut worst = (0.0, 0.0);
            for (&x, &y) in x.iter().zip(&y) {
                let want = f64::from(x).exp();
                if x < super::EXP_MIN {
                    assert_eq!(y, 0.0, "exp({x}) at {level:?}");
                } else if want > f64::from(f32::MAX) {
                    assert_eq!(y, f32::INFINITY, "exp({x}) at {level:?}");
                } else {
                    let unit = f64::from(f32::from_bits((want as f32).to_bits() + 1) - want as f32);
                    let error = (f64::from(y) - want).abs() / unit;
                    worst = if error > worst.0 { (error, x) } else { worst };
                }
            }
            assert!(worst.0 <= 2.0, "exp({}) is {} units off at {level:?}", worst.1, worst.0);
        }
    }

    #[test]
    fn exp_of_zero_nan_and_the_infinities() {
        let x = [0.0, -0.0, f32::NEG_INFINITY, f32::INFINITY, f32::NAN, -f32::NAN, f32::MAX, f32::MIN];
        for level in Level::supported() {
            let mut y = [7.0; 8];
            exp_all(level, &x, &mut y);
            assert_eq!(y[..4], [1.0, 1.0, 0.0, f32::INFINITY], "{level:?}");
            assert!(y[4].is_nan() && y[5].is_nan(), "exp(NaN) is {:?} at {level:?}", &y[4..6]);
            assert_eq!(y[6..], [f32::INFINITY, 0.0], "{level:?}");
        }
    }

    /// `erf` by its series below 3 and 1 minus its continued fraction above.
    fn erf_reference(x: f64) -> f64 {
        let t = x.abs();
        let value = if t < 3.0 {
            let (mut term, mut sum, mut n) = (t, t, 0.0);
            while term.abs() > 1e-18 {
                n += 1.0;
                term *= -t * t / n;
                sum += term / (2.0 * n + 1.0);
            }
            sum * std::f64::consts::FRAC_2_SQRT_PI
        } else {
            let fraction = (1..60).rev().fold(t, |tail, k| t + f64::from(k) / 2.0 / tail);
            1.0 - (-t * t).exp() / (fraction * std::f64::consts::PI.sqrt())
        };
        value.copysign(x)
    }

    #[test]
    fn erf_is_within_its_bound_at_every_level() {
        let known =
            [(0.5, 0.520_499_877_813_046_5), (2.0, 0.995_322_265_018_952_7), (3.5, 0.999_999_256_901_627_7)];
        for (x, want) in known {
            assert!((erf_reference(x) - want).abs() < 1e-14, "the reference at {x}");
        }
        let x: Vec<f32> =
            (-60_000..=60_000).map(|i| i as f32 * 1e-4).chain([1e-30, -1e-30, 1e30, -1e30]).collect();
        for level in Level::supported() {
            let mut y = vec![0.0; x.len()];
            erf_all(level, &x, &mut y);
            for (&x, &y) in x.iter().zip(&y) {
                let want = if x.abs() > 7.0 { 1f64.copysign(x.into()) } else { erf_reference(x.into()) };
                let error = (f64::from(y) - want).abs();
                assert!(error <= 1.2e-7 * want.abs().max(1e-30), "erf({x}) is {y}, not {want}, at {level:?}");
            }
            let mut y = [7.0; 4];
            erf_all(level, &[0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY], &mut y);
            assert_eq!(y[0], 0.0, "erf(0) at {level:?}");
            assert!(y[1].is_nan(), "erf(NaN) is {} at {level:?}", y[1]);
            assert_eq!(y[2..], [1.0, -1.0], "at the infinities, {level:?}");
        }
    }

    #[test]
    fn sums_and_maxima_of_every_length_take_in_each_entry() {
        for n in 0..70 {
            let x: Vec<f32> = (0..n).map(|i| ((i * 37 + 11) % 71) as f32 - 35.0).collect();
            let squares: f32 = x.iter().map(|x| x * x).sum();
            for level in Level::supported() {
                // Integers below 2²⁴: every order of addition is exact.
                assert_eq!(sum_of_squares(level, &x), squares, "{n} entries at {level:?}");
            }
            let top = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(max(&x), top, "maximum of {n} entries");
        }
    }
}
