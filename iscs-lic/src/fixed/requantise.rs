//! From exact sums to activations: multiplier, bias, shift, activation function, saturation.

use grouping_core::simd::{Lanes, dispatch};

use super::kernel::{LANES, Sums};
use super::rounding::{saturate, shift};

/// A function of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    Identity,
    /// Negative values become 0.
    Relu,
    /// Negative values are multiplied by 41,943 / 2²², the nearest to 0.01.
    LeakyRelu,
}

/// 0.01 · 2²².
const LEAK: i64 = 41_943;
const LEAK_BITS: u32 = 22;

impl Curve {
    /// Of an activation before it saturates.
    #[inline(always)]
    pub(crate) fn of(self, v: i32) -> i32 {
        match self {
            Self::Identity => v,
            Self::Relu => v.max(0),
            Self::LeakyRelu if v < 0 => shift(i64::from(v) * LEAK, LEAK_BITS) as i32,
            Self::LeakyRelu => v,
        }
    }
}

/// How the sums of a block become activations, a lane at a time.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    multipliers: [i64; LANES],
    /// Bias and half of the divisor, at least 2⁰.
    addends: [i64; LANES],
    shifts: [i64; LANES],
}

impl Default for Scale {
    fn default() -> Self {
        Self { multipliers: [0; LANES], addends: [0; LANES], shifts: [0; LANES] }
    }
}

impl Scale {
    pub(crate) fn set(&mut self, lane: usize, multiplier: i64, bias: i64, shift: u32) {
        self.multipliers[lane] = multiplier;
        self.addends[lane] = bias + ((1i64 << shift) >> 1);
        self.shifts[lane] = i64::from(shift);
    }
}

dispatch!(
    /// The activations of a block.
    pub(crate) requantise = kernel(sums: &Sums, scale: &Scale, curve: Curve) -> [i32; LANES]
);

#[inline(always)]
fn kernel<L: Lanes>(sums: &Sums, scale: &Scale, curve: Curve) -> [i32; LANES] {
    let mut out = [0; LANES];
    for l in 0..LANES {
        out[l] = saturate((sums[l] * scale.multipliers[l] + scale.addends[l]) >> scale.shifts[l]);
    }
    match curve {
        Curve::Identity => {}
        Curve::Relu => out.iter_mut().for_each(|v| *v = Curve::Relu.of(*v)),
        Curve::LeakyRelu => out.iter_mut().for_each(|v| *v = Curve::LeakyRelu.of(*v)),
    }
    out
}
