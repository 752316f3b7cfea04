//! `.sog`, version 2 (PlayCanvas): a zip of lossless WebP images and a `meta.json`, a fifteenth to a twentieth of a PLY.
//!
//! | image | a pixel |
//! |---|---|
//! | `means_l`, `means_u` | low and high bytes of `sign(v) · ln(1 + |v|)` in 16 bits between `mins` and `maxs` |
//! | `quats` | the three smallest parts in steps of √2 / 255; alpha 252 to 255 says which of w, x, y, z is left out |
//! | `scales` | three indices into a codebook of logarithms |
//! | `sh0` | three indices into a codebook of coefficients of degree 0, and alpha |
//! | `shN_labels` | which entry of the palette holds the higher degrees |
//! | `shN_centroids` | the palette: 64 entries a row, an index into a codebook for red, green and blue of each coefficient |
//!
//! Rows are written in Morton order, which is what makes the images compress. Codebooks are k-means of one dimension
//! ([`codebook`]); the palette is k-means in two levels ([`palette`]), with as many entries as splat-transform takes.
//! Bytes are the nearest (splat-transform truncates positions and rotations).
//!
//! Version 1, which has no codebooks, is refused by name.

mod archive;
mod codebook;
mod image;
mod meta;
mod palette;
mod pixel;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use read::read;
pub(crate) use write::write;

/// Bits of the step of positions.
const STEPS: f64 = 65_535.0;
/// Coefficients above degree 0 of a channel, by degree.
const COEFFICIENTS: [usize; 4] = [0, 3, 8, 15];
/// The highest degree.
const DEGREE: usize = 3;
/// Entries of the palette in a row of its image.
const ENTRIES_A_ROW: usize = 64;
