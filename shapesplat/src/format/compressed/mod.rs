//! PlayCanvas's compressed PLY: chunks of 256 Gaussians with their bounds, 16 bytes a Gaussian, a byte a coefficient of higher degrees.
//!
//! Source: the reader and writer of splat-transform 3.7.0. An element `chunk` of 12 floats, the least and greatest position and scale, and
//! six more for colours; `vertex` of four words; `sh` of 9, 24 or 45 bytes.
//!
//! Deviation: an alpha of 0 or 255 is read as 10⁻⁶ away from 0 or 1, as in `.splat`, where splat-transform reads an infinite logit; and
//! a narrow chunk is not flattened to its least value.

mod chunk;
mod coefficients;
mod pack;
mod read;
mod write;

pub(crate) use read::read;
pub(crate) use write::write;

/// Gaussians of a chunk.
const CHUNK: usize = 256;
/// The words of a Gaussian.
const WORDS: [&str; 4] = ["packed_position", "packed_rotation", "packed_scale", "packed_color"];
/// The bounds of a chunk.
const BOUNDS: [&str; 18] = [
    "min_x",
    "min_y",
    "min_z",
    "max_x",
    "max_y",
    "max_z",
    "min_scale_x",
    "min_scale_y",
    "min_scale_z",
    "max_scale_x",
    "max_scale_y",
    "max_scale_z",
    "min_r",
    "min_g",
    "min_b",
    "max_r",
    "max_g",
    "max_b",
];
/// The basis function of degree 0, with all its digits.
const SH_C0: f64 = 0.282_094_791_773_878_14;
