//! A chunk of 256 Gaussians: its bounds, the words of each, and how far they lie from what was given.

use grouping_core::simd::{Lanes, Level, dispatch, sigmoid};

use super::pack::{Smallest, THREE, lerp, unorm};
use super::{CHUNK, SH_C0};
use crate::format::ErrorSum;

/// The properties whose errors are measured, in this order.
pub(super) const PROPERTIES: [&str; 5] = ["position", "scale", "rotation", "opacity", "colour"];
/// Logarithms of scales lie within ±20.
const GREATEST_SCALE: f32 = 20.0;

/// What became of a chunk.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Packed {
    /// Of each of [`PROPERTIES`].
    pub(super) errors: [ErrorSum; 5],
    /// Scales that were moved into the bounds that the format has.
    pub(super) n_clamped: usize,
}

/// Columns of a chunk: position, scale, rotation, opacity, colour.
pub(super) struct Chunk {
    columns: Box<[[f32; CHUNK]; 14]>,
    fields: Box<[[u32; CHUNK]; 11]>,
    level: Level,
}

impl Chunk {
    pub(super) fn new() -> Self {
        Self {
            columns: Box::new([[0.0; CHUNK]; 14]),
            fields: Box::new([[0; CHUNK]; 11]),
            level: Level::detect(),
        }
    }

    /// Packs up to 256 rows into words.
    pub(super) fn pack(
        &mut self,
        rows: &[[f32; 14]],
        words: &mut [[u32; 4]],
        bounds: &mut [f32; 18],
    ) -> Packed {
        let n = rows.len();
        for (i, row) in rows.iter().enumerate() {
            for (column, &value) in self.columns.iter_mut().zip(row) {
                column[i] = value;
            }
        }
        // The last chunk is filled with its last Gaussian.
        for column in self.columns.iter_mut() {
            let last = column[n - 1];
            column[n..].fill(last);
        }
        let packed = pack_columns(self.level, &mut self.columns, &mut self.fields, bounds, n);
        let f = &self.fields;
        for (i, word) in words.iter_mut().enumerate() {
            *word = [
                f[0][i] << 21 | f[1][i] << 11 | f[2][i],
                f[10][i],
                f[3][i] << 21 | f[4][i] << 11 | f[5][i],
                f[7][i] << 24 | f[8][i] << 16 | f[9][i] << 8 | f[6][i],
            ];
        }
        packed
    }
}

/// Multiplies and adds with two roundings everywhere, so that bytes do not depend on the machine.
struct Plain;

impl Lanes for Plain {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

dispatch!(
    /// Quantises all columns, the rotations into whole words, and measures all errors over the first `n` rows.
    pack_columns = pack_kernel(
        columns: &mut [[f32; CHUNK]; 14],
        fields: &mut [[u32; CHUNK]; 11],
        bounds: &mut [f32; 18],
        n: usize,
    ) -> Packed
);

#[inline(always)]
fn pack_kernel<L: Lanes>(
    columns: &mut [[f32; CHUNK]; 14],
    fields: &mut [[u32; CHUNK]; 11],
    bounds: &mut [f32; 18],
    n: usize,
) -> Packed {
    let mut packed = Packed::default();
    let [position, scale, rotation, opacity, colour] = &mut packed.errors;
    for axis in 0..3 {
        let (min, max) = bounds_of(&columns[axis]);
        (bounds[axis], bounds[3 + axis]) = (min, max);
        position.join(quantise(&columns[axis], min, max, THREE[axis], &mut fields[axis], n, |value| value));
        let column = &mut columns[3 + axis];
        let (min, max) = bounds_of(column);
        let [min, max] = [min, max].map(|bound| bound.clamp(-GREATEST_SCALE, GREATEST_SCALE));
        (bounds[6 + axis], bounds[9 + axis]) = (min, max);
        packed.n_clamped +=
            column[..n].iter().map(|value| usize::from(value.abs() > GREATEST_SCALE)).sum::<usize>();
        scale.join(quantise(column, min, max, THREE[axis], &mut fields[3 + axis], n, |value| value));
    }
    *rotation = rotations([&columns[6], &columns[7], &columns[8], &columns[9]], &mut fields[10], n);
    for (&logit, field) in columns[10].iter().zip(&mut fields[6]) {
        *field = unorm(sigmoid::<Plain>(logit).into(), 255);
    }
    for (&logit, &field) in columns[10][..n].iter().zip(&fields[6]) {
        opacity.take(f64::from(sigmoid::<Plain>(logit)) - f64::from(field) / 255.0);
    }
    for channel in 0..3 {
        let column = &mut columns[11 + channel];
        column.iter_mut().for_each(|dc| *dc = (f64::from(*dc) * SH_C0 + 0.5) as f32);
        let (min, max) = bounds_of(column);
        (bounds[12 + channel], bounds[15 + channel]) = (min, max);
        let as_dc = |colour: f32| ((f64::from(colour) - 0.5) / SH_C0) as f32;
        colour.join(quantise(column, min, max, 255, &mut fields[7 + channel], n, as_dc));
    }
    packed
}

/// The words of rotations, and how far they turn away, `1 − |q·q'|`, over the first `n`; without a branch a rotation.
#[inline(always)]
fn rotations(q: [&[f32; CHUNK]; 4], words: &mut [u32; CHUNK], n: usize) -> ErrorSum {
    let mut errors = [0.0f64; CHUNK];
    for i in 0..CHUNK {
        let smallest = Smallest::of(q.map(|column| column[i]));
        words[i] = smallest.word();
        errors[i] = smallest.error();
    }
    let mut sum = ErrorSum::default();
    let greatest = errors[..n].iter().copied().fold(0.0, f64::max);
    sum.take_all(greatest, errors[..n].iter().sum(), n);
    sum
}

/// The least and the greatest.
#[inline(always)]
fn bounds_of(values: &[f32; CHUNK]) -> (f32, f32) {
    let (mut min, mut max) = ([values[0]; 16], [values[0]; 16]);
    for values in values.as_chunks::<16>().0 {
        for lane in 0..16 {
            min[lane] = if values[lane] < min[lane] { values[lane] } else { min[lane] };
            max[lane] = if values[lane] > max[lane] { values[lane] } else { max[lane] };
        }
    }
    (min.into_iter().fold(min[0], f32::min), max.into_iter().fold(max[0], f32::max))
}

/// Places between the bounds, as one of `0..=greatest`, and their errors over the first `n` values.
#[inline(always)]
fn quantise(
    values: &[f32; CHUNK],
    min: f32,
    max: f32,
    greatest: u32,
    fields: &mut [u32; CHUNK],
    n: usize,
    as_property: impl Fn(f32) -> f32,
) -> ErrorSum {
    let mut sum = ErrorSum::default();
    if min == max {
        fields.fill(0);
    } else {
        let (least, range) = (f64::from(min), f64::from(max) - f64::from(min));
        for (&value, field) in values.iter().zip(fields.iter_mut()) {
            *field = unorm((f64::from(value) - least) / range, greatest);
        }
    }
    let (mut most, mut sums) = ([0.0f64; 8], [0.0f64; 8]);
    for (i, (&value, &field)) in values[..n].iter().zip(fields.iter()).enumerate() {
        let read = lerp(min, max, f64::from(field) / f64::from(greatest));
        let error = (f64::from(as_property(value)) - f64::from(as_property(read))).abs();
        // Of an infinite value, which is told in words.
        let error = if error < f64::INFINITY { error } else { 0.0 };
        most[i % 8] = if error > most[i % 8] { error } else { most[i % 8] };
        sums[i % 8] += error;
    }
    sum.take_all(most.into_iter().fold(0.0, f64::max), sums.iter().sum(), n);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(i: usize) -> [f32; 14] {
        let at = i as f32;
        [
            at,
            -at,
            0.5,
            -5.0,
            -4.0 - at / 100.0,
            f32::NEG_INFINITY,
            1.0,
            at,
            0.1,
            0.0,
            at / 10.0 - 10.0,
            at,
            0.0,
            -1.0,
        ]
    }

    #[test]
    fn levels_pack_alike_and_infinite_values_do_not_spoil_their_chunk() {
        let rows: Vec<[f32; 14]> = (0..200).map(row).collect();
        let mut all = Vec::new();
        for level in Level::supported() {
            let (mut words, mut bounds) = ([[0; 4]; 200], [0.0; 18]);
            let mut chunk = Chunk { level, ..Chunk::new() };
            let packed = chunk.pack(&rows, &mut words, &mut bounds);
            assert!(bounds.iter().all(|bound| bound.is_finite()), "bounds {bounds:?} at {level:?}");
            assert_eq!(
                (bounds[8], bounds[11]),
                (-20.0, -20.0),
                "flat Gaussians are as flat as the format holds"
            );
            assert_eq!(packed.n_clamped, 200, "they are counted");
            all.push((words, bounds.map(f32::to_bits)));
        }
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "every level gives the same bytes");
    }
}
