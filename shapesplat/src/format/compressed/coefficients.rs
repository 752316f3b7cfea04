//! Coefficients of higher degrees in a byte each: `⌊32·v⌋ + 128`, within 1/64 for |v| < 4.
//!
//! Source: `trunc((v/8 + ½)·256)` of splat-transform 3.7.0, which is the same.

use grouping_core::simd::{Lanes, Level, dispatch};
use rayon::prelude::*;

use crate::format::ErrorSum;

/// Rows that a thread takes at once.
const BLOCK: usize = 4096;
/// Rows in which all columns are put before the next: they stay in the first cache.
const PIECE: usize = 512;
/// Sums of errors that are kept side by side.
const LANES: usize = 16;

/// The bytes of columns, row by row, and their errors.
pub(super) fn quantise(columns: &[&[f32]]) -> (Vec<u8>, ErrorSum) {
    let level = Level::detect();
    let stride = columns.len();
    let n = columns.first().map_or(0, |column| column.len());
    let mut rows = vec![0; n * stride];
    let blocks = rows.par_chunks_mut(BLOCK * stride).enumerate().map(|(i, rows)| {
        let mut sum = ErrorSum::default();
        let mut bytes = [0; PIECE];
        for (j, rows) in rows.chunks_mut(PIECE * stride).enumerate() {
            let first = i * BLOCK + j * PIECE;
            let n_rows = rows.len() / stride;
            for (k, column) in columns.iter().enumerate() {
                let values = &column[first..first + n_rows];
                let (greatest, errors) = piece(level, values, &mut bytes);
                sum.take_all(greatest.into(), errors, n_rows);
                rows[k..].iter_mut().step_by(stride).zip(&bytes).for_each(|(to, &byte)| *to = byte);
            }
        }
        sum
    });
    let sums: Vec<ErrorSum> = blocks.collect();
    let mut sum = ErrorSum::default();
    sums.into_iter().for_each(|later| sum.join(later));
    (rows, sum)
}

dispatch!(
    /// The bytes of values, the greatest error and the sum of errors.
    piece = piece_kernel(values: &[f32], bytes: &mut [u8; PIECE]) -> (f32, f64)
);

#[inline(always)]
fn piece_kernel<L: Lanes>(values: &[f32], bytes: &mut [u8; PIECE]) -> (f32, f64) {
    let (mut greatest, mut sums) = ([0.0f32; LANES], [0.0f32; LANES]);
    let whole = values.len() / LANES * LANES;
    let (values, tail) = values.split_at(whole);
    let mut take = |lane: usize, value: f32, byte: &mut u8| {
        let (found, error) = byte_of(value);
        *byte = found;
        greatest[lane] = if error > greatest[lane] { error } else { greatest[lane] };
        sums[lane] += error;
    };
    for (values, bytes) in values.chunks_exact(LANES).zip(bytes.chunks_exact_mut(LANES)) {
        for lane in 0..LANES {
            take(lane, values[lane], &mut bytes[lane]);
        }
    }
    for (lane, (&value, byte)) in tail.iter().zip(&mut bytes[whole..]).enumerate() {
        take(lane, value, byte);
    }
    let greatest = greatest.into_iter().fold(0.0, f32::max);
    (greatest, sums.into_iter().map(f64::from).sum())
}

/// The byte of a value, and how far from the value the byte is read.
#[inline(always)]
fn byte_of(value: f32) -> (u8, f32) {
    // Within the bytes, where truncating to an integer and stepping down is ⌊ ⌋.
    let scaled = (value * 32.0).clamp(-128.0, 127.0);
    let truncated = scaled as i32;
    let floor = truncated - i32::from(truncated as f32 > scaled);
    let read = match floor {
        -128 => -4.0,
        127 => 4.0,
        floor => (floor as f32 + 0.5) / 32.0,
    };
    ((floor + 128) as u8, (value - read).abs())
}

#[cfg(test)]
mod tests {
    use grouping_core::seed::sequence;

    use super::super::pack::COEFFICIENTS;
    use super::*;

    #[test]
    fn bytes_and_errors_are_those_of_the_reader_at_every_level() {
        let values: Vec<f32> = (0..PIECE as u64)
            .map(|i| ((sequence(5, i) >> 40) as f32 / (1 << 22) as f32 - 2.0) * 2.2)
            .collect();
        let want: Vec<u8> = values
            .iter()
            .map(|&v| ((f64::from(v) / 8.0 + 0.5) * 256.0).trunc().clamp(0.0, 255.0) as u8)
            .collect();
        let errors: Vec<f64> = values
            .iter()
            .zip(&want)
            .map(|(&v, &byte)| f64::from((v - COEFFICIENTS[usize::from(byte)]).abs()))
            .collect();
        for level in Level::supported() {
            for n in [0, 1, 17, 100, PIECE] {
                let mut bytes = [0; PIECE];
                let (greatest, sum) = piece(level, &values[..n], &mut bytes);
                assert_eq!(bytes[..n], want[..n], "{n} values at {level:?}");
                let most = errors[..n].iter().copied().fold(0.0, f64::max);
                assert!(
                    (f64::from(greatest) - most).abs() < 1e-6,
                    "{n} values: the greatest of {most} is {greatest}"
                );
                let total: f64 = errors[..n].iter().sum();
                assert!(
                    (sum - total).abs() < 1e-5 * total.max(1e-3),
                    "{n} values: the sum of {total} is {sum}"
                );
            }
        }
    }

    #[test]
    fn rows_hold_the_bytes_of_all_columns() {
        let column = |k: usize| {
            (0..10_000).map(|i| ((i * 7 + k * 13) % 256) as f32 / 32.0 - 4.0 + 0.01).collect::<Vec<f32>>()
        };
        let columns: Vec<Vec<f32>> = (0..9).map(column).collect();
        let (rows, _) = quantise(&columns.iter().map(|column| &column[..]).collect::<Vec<_>>());
        for (i, row) in rows.chunks_exact(9).enumerate() {
            for (k, &byte) in row.iter().enumerate() {
                assert_eq!(usize::from(byte), (i * 7 + k * 13) % 256, "row {i}, column {k}");
            }
        }
    }
}
