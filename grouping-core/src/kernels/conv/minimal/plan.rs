//! What minimal filtering multiplies: the parts of a convolution of one to three taps an axis, their products, and weights for those.

use std::ops::Range;

use rayon::prelude::*;

use super::super::geometry::Geometry;
use super::transform::{Kind, OCTET, weight};
use crate::simd::Level;

/// Products of an input channel in work at a time, of all kinds: with 48 tiles 300 KB.
const PRODUCTS: usize = 1600;
/// Channels, of the input and of the output, from which the transforms cost less than they save.
const MIN_CHANNELS: usize = 16;

/// Taps of an output phase in one phase of the input.
#[derive(Debug)]
pub(super) struct Part {
    /// Where the first tap reads.
    pub(super) at: [usize; 2],
    pub(super) kinds: [Kind; 2],
    /// The place in the kernel of tap (i, j).
    pub(super) weights: [[usize; 3]; 3],
}

/// An output phase.
#[derive(Debug)]
pub(super) struct Phase {
    pub(super) parts: Vec<Part>,
    /// For each of the 4×4 products the parts that have it, each with the number of its slice among all of the phase.
    pub(super) products: [Vec<(usize, usize)>; 16],
    pub(super) n_slices: usize,
    /// Those that all products together have.
    pub(super) kinds: [Kind; 2],
    /// Where the weights of the phase start.
    pub(super) first_weight: usize,
}

/// The sums of a convolution as parts; `None` where there are others than of one to three taps an axis, or too few channels.
#[derive(Debug)]
pub(in crate::kernels::conv) struct Plan<'a> {
    pub(super) geometry: &'a Geometry,
    /// That of tiles instead of points.
    pub(super) tiles: Geometry,
    pub(super) phases: Vec<Phase>,
    /// Input channels in work at a time.
    pub(super) block: usize,
}

impl<'a> Plan<'a> {
    pub(in crate::kernels::conv) fn new(geometry: &'a Geometry) -> Option<Self> {
        if geometry.c_in.min(geometry.c_out) < MIN_CHANNELS || geometry.step > 2 {
            return None;
        }
        let mut first_weight = 0;
        let mut phases = Vec::with_capacity(geometry.phases.len());
        for taps in &geometry.phases {
            let mut parts = Vec::new();
            let step = geometry.step;
            for input_phase in 0..step * step {
                let remainder = [input_phase / step, input_phase % step];
                let of_part = || taps.iter().filter(|tap| tap.at.map(|at| at % step) == remainder);
                let ends = |axis: usize| {
                    let at = || of_part().map(|tap| tap.at[axis]);
                    Some((at().min()?, at().max()?))
                };
                let (Some(rows), Some(columns)) = (ends(0), ends(1)) else { continue };
                let kind = |(first, last): (usize, usize)| Kind::of((last - first) / step + 1);
                let kinds = [kind(rows)?, kind(columns)?];
                let at = [rows.0, columns.0];
                let mut weights = [[0; 3]; 3];
                for tap in of_part() {
                    weights[(tap.at[0] - at[0]) / step][(tap.at[1] - at[1]) / step] = tap.weight;
                }
                parts.push(Part { at, kinds, weights });
            }
            let mut n_slices = 0;
            let products = std::array::from_fn(|product| {
                let has = |part: &Part| part.kinds[0].has(product / 4) && part.kinds[1].has(product % 4);
                let of_product: Vec<_> = parts.iter().enumerate().filter(|(_, part)| has(part)).collect();
                let numbered =
                    of_product.iter().enumerate().map(|(i, (part, _))| (*part, n_slices + i)).collect();
                n_slices += of_product.len();
                numbered
            });
            let kinds =
                [0, 1].map(|axis| parts.iter().map(|part| part.kinds[axis]).max().unwrap_or(Kind::One));
            phases.push(Phase { parts, products, n_slices, kinds, first_weight });
            first_weight += n_slices * geometry.c_in * geometry.c_out;
        }
        // Products of a tile of four outputs, and those without the transforms.
        let n_products: usize = phases.iter().map(|phase| phase.n_slices).sum();
        if n_products * 4 > 4 * geometry.n_taps() * 3 {
            return None;
        }
        let n_slices = phases.iter().map(|phase| phase.n_slices).max()?;
        let tiles = Geometry {
            step: 2 * geometry.step,
            span: geometry.span.map(|span| span + geometry.step),
            ..geometry.clone()
        };
        let block = (PRODUCTS / n_slices.max(1)).min(geometry.c_in);
        Some(Self { geometry, tiles, phases, block })
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (c_in, block) = (self.geometry.c_in, self.block);
        (0..c_in).step_by(block).map(move |first| first..c_in.min(first + block))
    }

    /// Weights for each phase, block of input channels, product, and tile of output channels, `[c_in, parts, c_out]`.
    pub(super) fn pack(&self, level: Level, weights: &[f32], tile: usize) -> Vec<f32> {
        let &Geometry { c_in, c_out, weight_strides: [out_stride, in_stride], .. } = self.geometry;
        let n_all: usize = self.phases.iter().map(|phase| phase.n_slices).sum();
        let mut packed = vec![0.0; n_all * c_in * c_out];
        let mut rest = &mut packed[..];
        for phase in &self.phases {
            let (of_phase, tail) = rest.split_at_mut(phase.n_slices * c_in * c_out);
            rest = tail;
            // For each part its products, the slices before each, and which of how many parts of it this is.
            let places: Vec<Vec<_>> = (0..phase.parts.len())
                .map(|number| {
                    let place = |(product, parts): (usize, &Vec<(usize, usize)>)| {
                        let at = parts.iter().position(|&(part, _)| part == number)?;
                        Some((product, parts[0].1, at, parts.len()))
                    };
                    phase.products.iter().enumerate().filter_map(place).collect()
                })
                .collect();
            let of_block = (phase.n_slices * self.block * c_out).max(1);
            of_phase.par_chunks_mut(of_block).zip(self.blocks().collect::<Vec<_>>()).for_each(
                |(packed, channels)| {
                    for first in (0..c_out).step_by(tile) {
                        let width = tile.min(c_out - first);
                        for (i, channel) in channels.clone().enumerate() {
                            for (number, part) in phase.parts.iter().enumerate() {
                                let mut taps = [[[0.0; OCTET]; 4]; 4];
                                for (row, places) in taps.iter_mut().zip(part.weights) {
                                    for (tap, place) in row.iter_mut().zip(places) {
                                        for (m, tap) in tap[..width].iter_mut().enumerate() {
                                            *tap = weights
                                                [(first + m) * out_stride + channel * in_stride + place];
                                        }
                                    }
                                }
                                let mut transformed = [[[0.0; OCTET]; 4]; 4];
                                weight(level, part.kinds, &taps, &mut transformed);
                                for &(product, before, at, n_parts) in &places[number] {
                                    // Slices of the products before, tiles of channels before, channels and parts before.
                                    let at = channels.len() * (before * c_out + first * n_parts)
                                        + (i * n_parts + at) * width;
                                    packed[at..at + width]
                                        .copy_from_slice(&transformed[product / 4][product % 4][..width]);
                                }
                            }
                        }
                    }
                },
            );
        }
        packed
    }
}

#[cfg(test)]
mod tests {
    use super::{Geometry, Plan};

    #[test]
    fn convolutions_that_it_does_not_suit_are_left() {
        let suits = |channels: usize, kernel: usize, stride: usize| {
            Plan::new(&Geometry::ordinary([1, channels, 9, 9], [32, channels, kernel, kernel], stride, 2))
                .is_some()
        };
        assert!(suits(16, 3, 1) && suits(16, 5, 2), "3×3, and 5×5 of stride 2");
        assert!(!suits(15, 3, 1), "few channels");
        assert!(!suits(16, 1, 1), "nothing is saved");
        assert!(!suits(16, 5, 1), "five taps");
        assert!(!suits(16, 5, 3), "stride 3");
    }
}
