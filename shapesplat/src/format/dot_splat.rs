//! `.splat` (antimatter15/splat): 32 bytes a Gaussian, no header.
//!
//! | bytes | what |
//! |---|---|
//! | 0–11 | position, `f32` |
//! | 12–23 | scale, `f32`, linear |
//! | 24–26 | red, green, blue: `½ + SH_C0 · dc` in steps of 1/255 |
//! | 27 | alpha, in steps of 1/255 |
//! | 28–31 | unit quaternion w, x, y, z: `u / 255 · 2 − 1` |
//!
//! Little-endian; no spherical harmonics. The rows stay in the order of the input. Viewers sort by depth for every picture anyway; the order
//! by size and alpha, which some writers choose, only shows great splats first while a file is loading.
//! Bytes are the nearest (gsplat truncates). A scale of 0 is read as the logarithm of the smallest normal `f32`: flat, and finite.

use std::io::Write;
use std::ops::Range;
use std::path::Path;

use super::activation::{self, ALPHA_MARGIN, byte, colour, dc, logits_of_bytes};
use super::bounds::refuse_none;
use super::dropped::{counted, dropped};
use super::{ErrorSum, Written, blocks};
use crate::{Error, Result, Splats};

const ROW_BYTES: usize = 32;

/// Reads a `.splat`.
///
/// # Errors
/// A file that is empty or ends within a row.
pub(crate) fn read(bytes: &[u8], path: &Path) -> Result<Splats> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(ROW_BYTES) {
        return Err(Error::format(path, "length", "rows of 32 bytes, at least one", bytes.len()));
    }
    let n = bytes.len() / ROW_BYTES;
    let logits = logits_of_bytes();
    let colours: [f32; 256] = std::array::from_fn(|byte| dc(byte as f64 / 255.0) as f32);
    let columns = blocks::decode(n, |rows, columns| {
        let rows = bytes[rows.start * ROW_BYTES..rows.end * ROW_BYTES].chunks_exact(ROW_BYTES);
        for (slot, row) in rows.enumerate() {
            let float = |at: usize| f32::from_le_bytes([row[at], row[at + 1], row[at + 2], row[at + 3]]);
            for axis in 0..3 {
                columns[axis][slot] = float(4 * axis);
                columns[3 + axis][slot] = log_scale(float(12 + 4 * axis));
                columns[6 + axis][slot] = colours[usize::from(row[24 + axis])];
            }
            columns[9][slot] = logits[usize::from(row[27])];
            let rotation = rotation(&row[28..]);
            let length = rotation.iter().map(|v| v * v).sum::<f64>().sqrt();
            for (part, value) in rotation.into_iter().enumerate() {
                columns[10 + part][slot] = (value / length) as f32;
            }
        }
    });
    let [x, y, z, s0, s1, s2, red, green, blue, opacities, q0, q1, q2, q3] = columns;
    Ok(Splats {
        positions: [x, y, z],
        scales: [s0, s1, s2],
        rotations: [q0, q1, q2, q3],
        opacities,
        dc: [red, green, blue],
        ..Splats::default()
    })
}

/// The logarithm of a linear scale; of 0, that of the smallest normal number.
pub(super) fn log_scale(scale: f32) -> f32 {
    if scale == 0.0 { f32::MIN_POSITIVE.ln() } else { scale.ln() }
}

fn rotation(bytes: &[u8]) -> [f64; 4] {
    std::array::from_fn(|part| f64::from(bytes[part]) / 255.0 * 2.0 - 1.0)
}

/// Writes a `.splat`.
///
/// # Errors
/// No Gaussian at all, and the system's.
pub(crate) fn write(splats: &Splats, out: &mut dyn Write) -> Result<Written> {
    refuse_none(splats, ".splat")?;
    let mut block = Block::default();
    blocks::encode(
        splats.len(),
        |rows| Block::encode(splats, rows),
        |next| {
            out.write_all(&next.bytes).map_err(super::stream)?;
            block.join(next);
            Ok(())
        },
    )?;
    let mut dropped = dropped(splats, ".splat", 0, false);
    dropped.extend(counted(block.dark_or_bright, "colours outside 0 to 1: .splat holds none beyond"));
    dropped.extend(counted(block.huge, "scales beyond the range of 32-bit numbers: the greatest is written"));
    dropped.extend(counted(block.unturned, "quaternions of length 0: written as no rotation"));
    let mut written = Written { count: splats.len(), keeps_order: true, dropped, errors: Vec::new() };
    written.add("scale", block.scale);
    written.add("rotation", block.rotation);
    written.add("opacity", block.opacity);
    written.add("colour", block.colour);
    Ok(written)
}

/// The bytes of some rows, and what was lost of them.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    scale: ErrorSum,
    rotation: ErrorSum,
    opacity: ErrorSum,
    colour: ErrorSum,
    dark_or_bright: usize,
    huge: usize,
    unturned: usize,
}

impl Block {
    fn encode(splats: &Splats, rows: Range<usize>) -> Self {
        let mut block = Self { bytes: Vec::with_capacity(rows.len() * ROW_BYTES), ..Self::default() };
        for row in rows {
            for axis in &splats.positions {
                block.bytes.extend(axis[row].to_le_bytes());
            }
            for axis in &splats.scales {
                let log = axis[row];
                let linear = f64::from(log).exp();
                block.huge += usize::from(linear > f64::from(f32::MAX));
                let linear = linear.min(f64::from(f32::MAX)) as f32;
                block.scale.take(f64::from(log) - f64::from(log_scale(linear)));
                block.bytes.extend(linear.to_le_bytes());
            }
            for channel in &splats.dc {
                let shown = colour(channel[row]);
                block.dark_or_bright += usize::from(!(-0.5 / 255.0..=255.5 / 255.0).contains(&shown));
                let kept = byte(shown);
                block.colour.take(f64::from(channel[row]) - dc(f64::from(kept) / 255.0));
                block.bytes.push(kept);
            }
            let alpha = activation::alpha(splats.opacities[row]);
            let kept = byte(alpha);
            block.opacity.take(alpha - (f64::from(kept) / 255.0).clamp(ALPHA_MARGIN, 1.0 - ALPHA_MARGIN));
            block.bytes.push(kept);
            let given = splats.rotations.each_ref().map(|part| part[row]);
            let unit = activation::unit(given).unwrap_or_else(|| {
                block.unturned += 1;
                [1.0, 0.0, 0.0, 0.0]
            });
            let kept = unit.map(|part| byte((f64::from(part) + 1.0) / 2.0));
            block.rotation.take(activation::turn_error(unit, rotation(&kept)));
            block.bytes.extend(kept);
        }
        block
    }

    fn join(&mut self, next: Self) {
        self.scale.join(next.scale);
        self.rotation.join(next.rotation);
        self.opacity.join(next.opacity);
        self.colour.join(next.colour);
        self.dark_or_bright += next.dark_or_bright;
        self.huge += next.huge;
        self.unturned += next.unturned;
    }
}
