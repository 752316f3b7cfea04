//! The f32 sum of up to 512 contiguous values in the order of torch's CPU kernel, which a result at a rounding edge depends on.
//!
//! With L lanes: below L values four accumulators take `x₀ + x₄ + …, x₁ + x₅ + …, …`, what is
//! left over after whole fours goes to the first, then `a₀ + a₁ + a₂ + a₃`. From L values on the same is done with vectors of L
//! values, lane by lane; then the values behind the last whole vector are added up, and the lanes to them in order.
//!
//! Torch does not build this kernel for AVX-512 (`aten/src/ATen/native/cpu/SumKernel.cpp`) and sums in AVX2's order there, too: the
//! goldens hold results of both. 16 is the order that the same kernel would have with vectors of 16.

use serde::{Deserialize, Serialize};

/// How many f32 a vector register holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Lanes {
    /// AVX2's 8 lanes: torch's order on x86.
    #[default]
    #[serde(rename = "8")]
    Eight,
    /// 16 lanes, those of an AVX-512 register.
    #[serde(rename = "16")]
    Sixteen,
}

/// Accumulators side by side.
const WAYS: usize = 4;

/// The sum on a processor of these lanes.
///
/// ```
/// use kd_gqa::allocation::{Lanes, lane_sum};
/// // 1 is lost beside 2²⁵ unless another accumulator takes it.
/// let x = [33554432.0, 1.0, 1.0, 2.0, -33554432.0];
/// assert_eq!(lane_sum(&x, Lanes::Eight), 4.0);
/// assert_eq!(x.iter().sum::<f32>(), 0.0);
/// ```
pub fn lane_sum(values: &[f32], lanes: Lanes) -> f32 {
    match lanes {
        Lanes::Eight => sum::<8>(values),
        Lanes::Sixteen => sum::<16>(values),
    }
}

fn sum<const L: usize>(values: &[f32]) -> f32 {
    if values.len() < L {
        let [sum] = rows(values.as_chunks::<1>().0);
        return sum;
    }
    let (vectors, tail) = values.as_chunks::<L>();
    let tail = tail.iter().fold(0.0, |sum, x| sum + x);
    rows(vectors).iter().fold(tail, |sum, x| sum + x)
}

/// Lane by lane, the sum of the rows in four accumulators.
fn rows<const L: usize>(rows: &[[f32; L]]) -> [f32; L] {
    let mut accumulators = [[0f32; L]; WAYS];
    let whole = rows.len() / WAYS * WAYS;
    for (i, row) in rows.iter().enumerate() {
        let accumulator = &mut accumulators[if i < whole { i % WAYS } else { 0 }];
        accumulator.iter_mut().zip(row).for_each(|(a, x)| *a += x);
    }
    let [mut sum, others @ ..] = accumulators;
    for other in others {
        sum.iter_mut().zip(other).for_each(|(s, x)| *s += x);
    }
    sum
}
