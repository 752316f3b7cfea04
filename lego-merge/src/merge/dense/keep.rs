//! Which values of an update are kept, decided for each by its magnitude or its place alone, so that tiles may be formed
//! again and in any order.

use grouping_core::seed::sequence;
use grouping_core::stats::magnitude::magnitude_bits;

use crate::merge::masks::Mask;

/// Which values of an update are kept; the others become zero.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keep<'a> {
    All,
    /// Magnitudes whose bits are above `least`, and those equal to it before the flat index `equal_before`.
    Largest {
        least: u32,
        equal_before: usize,
    },
    /// Those that draw less than `below` of 2³², divided by `density`.
    Random {
        seed: u64,
        below: u64,
        density: f32,
    },
    /// Those that a mask keeps, divided by `density`.
    Masked {
        mask: Mask<'a>,
        density: f32,
    },
}

impl Keep<'_> {
    /// Prunes consecutive values of a row, the first at the flat index `start`.
    #[inline(always)]
    pub(super) fn apply(&self, start: usize, values: &mut [f32]) {
        match *self {
            Self::All => {}
            Self::Largest { least, equal_before } => {
                let (with, without) =
                    values.split_at_mut(equal_before.saturating_sub(start).min(values.len()));
                keep_from(least, with);
                keep_from(least.saturating_add(1), without);
            }
            Self::Random { seed, below, density } => {
                for (i, v) in values.iter_mut().enumerate() {
                    let draw = sequence(seed, (start + i) as u64) >> 32;
                    *v = or_zero(*v / density, draw < below);
                }
            }
            Self::Masked { mask, density } => {
                for (i, v) in values.iter_mut().enumerate() {
                    *v = or_zero(*v / density, mask.keeps(start + i));
                }
            }
        }
    }
}

/// The value, or zero, without a branch, which would keep loops from being vectorised.
#[inline(always)]
fn or_zero(value: f32, is_kept: bool) -> f32 {
    f32::from_bits(value.to_bits() & u32::from(is_kept).wrapping_neg())
}

#[inline(always)]
fn keep_from(least: u32, values: &mut [f32]) {
    for v in values {
        // A product rather than a choice: values that stay must be stored too, for stores by a mask are slow.
        *v *= f32::from(u8::from(magnitude_bits(*v) >= least));
    }
}
