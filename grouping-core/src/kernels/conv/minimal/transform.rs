//! The transforms of minimal filtering: of weights and inputs to factors, of products to outputs; eight tiles or output channels at a time.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m256;

use super::super::options::Finish;
use super::super::vector::{Baseline, Vector};
#[cfg(target_arch = "x86_64")]
use crate::simd::Isa;
use crate::simd::{Lanes, Level, dispatch};

/// Eight tiles next to each other, or eight output channels.
pub(super) const OCTET: usize = 8;

/// How many taps there are along an axis: one to three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    One,
    Two,
    Three,
}

impl Kind {
    pub(super) fn of(n_taps: usize) -> Option<Self> {
        Some(match n_taps {
            1 => Self::One,
            2 => Self::Two,
            3 => Self::Three,
            _ => return None,
        })
    }

    /// Whether there is a product at this of the four places.
    #[inline(always)]
    pub(super) fn has(self, place: usize) -> bool {
        match self {
            Self::One => place == 0 || place == 3,
            Self::Two => place != 2,
            Self::Three => true,
        }
    }

    /// Inputs of two neighbouring outputs.
    pub(super) fn n_inputs(self) -> usize {
        self as usize + 2
    }
}

/// The factors of the inputs along an axis.
///
/// # Safety
/// As that of [`Vector`].
#[inline(always)]
unsafe fn of_inputs<V: Vector>(kind: Kind, [a, b, c, d]: [V; 4]) -> [V; 4] {
    // SAFETY: as the function asks.
    unsafe {
        let zero = V::splat(0.0);
        match kind {
            Kind::One => [a, zero, zero, zero.subtract(b)],
            Kind::Two => [a.subtract(b), b, zero, b.subtract(c)],
            Kind::Three => [a.subtract(c), b.add(c), c.subtract(b), b.subtract(d)],
        }
    }
}

/// The factors of the taps along an axis.
///
/// # Safety
/// As that of [`Vector`].
#[inline(always)]
unsafe fn of_weights<V: Vector>(kind: Kind, [a, b, c, _]: [V; 4]) -> [V; 4] {
    // SAFETY: as the function asks.
    unsafe {
        let zero = V::splat(0.0);
        match kind {
            Kind::One => [a, zero, zero, a],
            Kind::Two => [a, a.add(b), zero, b],
            Kind::Three => {
                let (outer, half) = (a.add(c), V::splat(0.5));
                let [sum, difference] = [outer.add(b), outer.subtract(b)];
                [a, V::mul_add(sum, half, zero), V::mul_add(difference, half, zero), c]
            }
        }
    }
}

/// Two outputs of the products along an axis.
///
/// # Safety
/// As that of [`Vector`].
#[inline(always)]
unsafe fn of_products<V: Vector>(kind: Kind, [a, b, c, d]: [V; 4]) -> [V; 2] {
    // SAFETY: as the function asks.
    unsafe {
        match kind {
            Kind::One => [a, V::splat(0.0).subtract(d)],
            Kind::Two => [a.add(b), b.subtract(d)],
            Kind::Three => [a.add(b).add(c), b.subtract(c).subtract(d)],
        }
    }
}

/// `$f` of the columns of the 4×4 `$values`, then of the rows of what that gives.
macro_rules! both {
    ($values:expr, $f:ident, $rows:expr, $columns:expr) => {{
        let v = $values;
        let columns = [
            $f($rows, [v[0][0], v[1][0], v[2][0], v[3][0]]),
            $f($rows, [v[0][1], v[1][1], v[2][1], v[3][1]]),
            $f($rows, [v[0][2], v[1][2], v[2][2], v[3][2]]),
            $f($rows, [v[0][3], v[1][3], v[2][3], v[3][3]]),
        ];
        let mut rows = [[columns[0][0]; 4]; 4];
        for (i, row) in rows[..columns[0].len()].iter_mut().enumerate() {
            *row = [columns[0][i], columns[1][i], columns[2][i], columns[3][i]];
        }
        let [a, b, c, d] = rows;
        [$f($columns, a), $f($columns, b), $f($columns, c), $f($columns, d)]
    }};
}

/// Runs `$loop::<V>(args)` with the vectors of the level, of at most [`OCTET`] lanes.
macro_rules! by_level {
    ($level:expr, $loop:ident($($arg:ident: $ty:ty),*)) => {
        match $level.isa() {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx2 => {
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) {
                    // SAFETY: these features are the vector's.
                    unsafe { $loop::<__m256>($($arg),*) }
                }
                // SAFETY: both levels are made only where the CPU has these features.
                unsafe { avx2($($arg),*) }
            }
            // SAFETY: every CPU of the target has this vector.
            _ => unsafe { $loop::<Baseline>($($arg),*) },
        }
    };
}

/// The 4×4 factors of eight output channels' taps, those of a kernel's corner first, others 0.
pub(super) fn weight(
    level: Level,
    kinds: [Kind; 2],
    taps: &[[[f32; OCTET]; 4]; 4],
    to: &mut [[[f32; OCTET]; 4]; 4],
) {
    by_level!(level, weights_of(kinds: [Kind; 2], taps: &[[[f32; OCTET]; 4]; 4], to: &mut [[[f32; OCTET]; 4]; 4]));
}

#[inline(always)]
unsafe fn weights_of<V: Vector>(
    [rows, columns]: [Kind; 2],
    taps: &[[[f32; OCTET]; 4]; 4],
    to: &mut [[[f32; OCTET]; 4]; 4],
) {
    for first in (0..OCTET).step_by(V::LANES) {
        // SAFETY: arrays of eight values, and the vectors' lanes divide that.
        unsafe {
            let mut g = [[V::splat(0.0); 4]; 4];
            for i in 0..4 {
                for j in 0..4 {
                    g[i][j] = V::load(taps[i][j].as_ptr().add(first));
                }
            }
            let factors = both!(g, of_weights, rows, columns);
            for i in 0..4 {
                for j in 0..4 {
                    factors[i][j].store(to[i][j].as_mut_ptr().add(first));
                }
            }
        }
    }
}

/// Where inputs are read and their factors written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inputs<'a> {
    /// Channels of a [`Strip`](super::super::pack::Strip) of tiles.
    pub(super) values: &'a [f32],
    pub(super) channel_stride: usize,
    pub(super) n_channels: usize,
    /// Where each octet of tiles starts.
    pub(super) starts: &'a [usize],
    /// From there, where each of the 4×4 inputs is.
    pub(super) at: [[usize; 4]; 4],
    /// Where the factors of each place start.
    pub(super) slices: [usize; 16],
    /// From the factors of one channel to those of the next.
    pub(super) tiles: usize,
}

/// Writes the factors of the inputs, octet by octet.
///
/// # Panics
/// If a slice is too short.
pub(super) fn input(level: Level, kinds: [Kind; 2], from: Inputs<'_>, to: &mut [f32]) {
    let (Some(last), Some(start), Some(at), Some(slice)) = (
        from.n_channels.checked_sub(1),
        from.starts.iter().max(),
        from.at.iter().flatten().max(),
        from.slices.iter().max(),
    ) else {
        return;
    };
    assert!(last * from.channel_stride + start + at + OCTET <= from.values.len(), "inputs: too few values");
    assert!(slice + last * from.tiles + from.starts.len() * OCTET <= to.len(), "inputs: too few factors");
    by_level!(level, inputs_of_kinds(kinds: [Kind; 2], from: Inputs<'_>, to: &mut [f32]));
}

#[inline(always)]
unsafe fn inputs_of_kinds<V: Vector>(kinds: [Kind; 2], from: Inputs<'_>, to: &mut [f32]) {
    use Kind::{One, Three, Two};
    // Each pair of kinds is a loop of its own.
    // SAFETY: `input` has checked what is read and written.
    unsafe {
        match kinds {
            [One, One] => inputs_of::<V>(One, One, from, to),
            [One, Two] => inputs_of::<V>(One, Two, from, to),
            [One, Three] => inputs_of::<V>(One, Three, from, to),
            [Two, One] => inputs_of::<V>(Two, One, from, to),
            [Two, Two] => inputs_of::<V>(Two, Two, from, to),
            [Two, Three] => inputs_of::<V>(Two, Three, from, to),
            [Three, One] => inputs_of::<V>(Three, One, from, to),
            [Three, Two] => inputs_of::<V>(Three, Two, from, to),
            [Three, Three] => inputs_of::<V>(Three, Three, from, to),
        }
    }
}

#[inline(always)]
unsafe fn inputs_of<V: Vector>(rows: Kind, columns: Kind, from: Inputs<'_>, to: &mut [f32]) {
    for channel in 0..from.n_channels {
        for (octet, &start) in from.starts.iter().enumerate() {
            for lane in (0..OCTET).step_by(V::LANES) {
                // SAFETY: `input` has checked what is read and written.
                unsafe {
                    let values = from.values.as_ptr().add(channel * from.channel_stride + start + lane);
                    let mut d = [[V::splat(0.0); 4]; 4];
                    for (d, at) in d.iter_mut().zip(&from.at) {
                        for (d, &at) in d.iter_mut().zip(at) {
                            *d = V::load(values.add(at));
                        }
                    }
                    let factors = both!(d, of_inputs, rows, columns);
                    let to = to.as_mut_ptr().add(channel * from.tiles + octet * OCTET + lane);
                    for (i, factors) in factors.iter().enumerate() {
                        for (j, factor) in factors.iter().enumerate() {
                            if rows.has(i) && columns.has(j) {
                                factor.store(to.add(from.slices[4 * i + j]));
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Where products are read and outputs written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outputs<'a> {
    pub(super) products: &'a [f32],
    /// From one of the 16 products to the next.
    pub(super) product_stride: usize,
    pub(super) n_octets: usize,
    pub(super) bias: f32,
    /// From one row of outputs to the next.
    pub(super) row_stride: usize,
    /// From one column of outputs to the next.
    pub(super) column_stride: usize,
}

/// The 2×2 outputs of some octets of tiles, plus a bias.
///
/// # Panics
/// If a slice is too short.
pub(super) fn output(level: Level, kinds: [Kind; 2], from: Outputs<'_>, to: &mut [f32]) {
    let n_tiles = from.n_octets * OCTET;
    assert!(15 * from.product_stride + n_tiles <= from.products.len(), "outputs: too few products");
    assert!(from.row_stride + from.column_stride + n_tiles <= to.len(), "outputs: too few outputs");
    by_level!(level, outputs_of(kinds: [Kind; 2], from: Outputs<'_>, to: &mut [f32]));
}

#[inline(always)]
unsafe fn outputs_of<V: Vector>([rows, columns]: [Kind; 2], from: Outputs<'_>, to: &mut [f32]) {
    for first in (0..from.n_octets * OCTET).step_by(V::LANES) {
        // SAFETY: `output` has checked what is read and written.
        unsafe {
            let products = from.products.as_ptr().add(first);
            let mut m = [[V::splat(0.0); 4]; 4];
            for (i, m) in m.iter_mut().enumerate() {
                for (j, m) in m.iter_mut().enumerate() {
                    if rows.has(i) && columns.has(j) {
                        *m = V::load(products.add((4 * i + j) * from.product_stride));
                    }
                }
            }
            let [[a, b], [c, d], ..] = both!(m, of_products, rows, columns);
            let (to, bias) = (to.as_mut_ptr().add(first), V::splat(from.bias));
            a.add(bias).store(to);
            b.add(bias).store(to.add(from.column_stride));
            c.add(bias).store(to.add(from.row_stride));
            d.add(bias).store(to.add(from.row_stride + from.column_stride));
        }
    }
}

dispatch!(
    /// `out[n·i + k]` takes `from[k·stride + i]`.
    pub(super) interleave = interleave_kernel(from: &[f32], stride: usize, n: usize, finish: Finish, out: &mut [f32])
);

#[inline(always)]
fn interleave_kernel<L: Lanes>(from: &[f32], stride: usize, n: usize, finish: Finish, out: &mut [f32]) {
    let slope = finish.rectifier.slope();
    let rectified = |x: f32| if x > 0.0 { x } else { slope * x };
    // Each a loop of its own.
    if finish.adds {
        interleave_by(from, stride, n, |old, x| rectified(old + x), out);
    } else {
        interleave_by(from, stride, n, |_, x| rectified(x), out);
    }
}

#[inline(always)]
fn interleave_by(from: &[f32], stride: usize, n: usize, put: impl Fn(f32, f32) -> f32, out: &mut [f32]) {
    let n_whole = out.len() / n;
    let (whole, rest) = out.split_at_mut(n_whole * n);
    if n == 2 {
        let [a, b] = [&from[..n_whole], &from[stride..stride + n_whole]];
        for ((out, a), b) in whole.as_chunks_mut::<2>().0.iter_mut().zip(a).zip(b) {
            *out = [put(out[0], *a), put(out[1], *b)];
        }
    } else if n == 4 {
        let [a, b] = [&from[..n_whole], &from[stride..stride + n_whole]];
        let [c, d] = [&from[2 * stride..2 * stride + n_whole], &from[3 * stride..3 * stride + n_whole]];
        for ((((out, a), b), c), d) in whole.as_chunks_mut::<4>().0.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *out = [put(out[0], *a), put(out[1], *b), put(out[2], *c), put(out[3], *d)];
        }
    } else {
        for (i, out) in whole.iter_mut().enumerate() {
            *out = put(*out, from[i % n * stride + i / n]);
        }
    }
    for (k, out) in rest.iter_mut().enumerate() {
        *out = put(*out, from[k * stride + n_whole]);
    }
}
