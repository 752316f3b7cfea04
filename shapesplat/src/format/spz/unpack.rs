//! Bytes of a `.spz` become columns of splats.

use half::f16;

use super::super::activation::logits_of_bytes;
use super::super::blocks;
use super::pack::Column;
use super::rotation;
use crate::Splats;

/// Puts the `n` rows of a column into `splats`.
pub(super) fn unpack(
    column: Column,
    version: u32,
    fractional_bits: u32,
    bytes: &[u8],
    n: usize,
    splats: &mut Splats,
) {
    match column {
        Column::Positions if version == 1 => {
            splats.positions = triples(bytes, n, 6, |row, axis| {
                f16::from_le_bytes([row[2 * axis], row[2 * axis + 1]]).to_f32()
            });
        }
        Column::Positions => {
            let step = (-f64::from(fractional_bits)).exp2() as f32;
            splats.positions = triples(bytes, n, 9, |row, axis| {
                // The sign is that of the third byte.
                let number =
                    i32::from_le_bytes([0, row[3 * axis], row[3 * axis + 1], row[3 * axis + 2]]) >> 8;
                number as f32 * step
            });
        }
        Column::Alphas => {
            let logits = logits_of_bytes();
            splats.opacities = bytes.iter().map(|&byte| logits[usize::from(byte)]).collect();
        }
        Column::Colours => {
            splats.dc = triples(bytes, n, 3, |row, channel| (f32::from(row[channel]) / 255.0 - 0.5) / 0.15);
        }
        Column::Scales => {
            splats.scales = triples(bytes, n, 3, |row, axis| f32::from(row[axis]) / 16.0 - 10.0);
        }
        Column::Rotations => {
            let width = Column::Rotations.row_bytes(version, 0);
            splats.rotations = blocks::decode(n, |rows, columns| {
                let rows = bytes[rows.start * width..rows.end * width].chunks_exact(width);
                for (slot, row) in rows.enumerate() {
                    let quaternion = match *row {
                        [a, b, c, d] => rotation::unpack_four([a, b, c, d]),
                        _ => rotation::unpack_three([row[0], row[1], row[2]]),
                    };
                    for (column, value) in columns.iter_mut().zip(quaternion) {
                        column[slot] = value;
                    }
                }
            });
        }
        Column::Coefficients => {
            let width = bytes.len().checked_div(n).unwrap_or(0);
            splats.rest = blocks::decode_many(n, width, |rows, columns| {
                let rows = &bytes[rows.start * width..rows.end * width];
                for (i, column) in columns.iter_mut().enumerate() {
                    // The file's coefficients hold red, green, blue; a channel of the columns holds all coefficients.
                    let (channel, k) = (i / (width / 3), i % (width / 3));
                    let bytes = rows[3 * k + channel..].iter().step_by(width);
                    for (value, &byte) in column.iter_mut().zip(bytes) {
                        *value = (f32::from(byte) - 128.0) * (1.0 / 128.0);
                    }
                }
            });
        }
    }
}

fn triples(
    bytes: &[u8],
    n: usize,
    width: usize,
    value: impl Fn(&[u8], usize) -> f32 + Sync,
) -> [Vec<f32>; 3] {
    blocks::decode(n, |rows, columns| {
        let rows = bytes[rows.start * width..rows.end * width].chunks_exact(width);
        for (slot, row) in rows.enumerate() {
            for (axis, column) in columns.iter_mut().enumerate() {
                column[slot] = value(row, axis);
            }
        }
    })
}
