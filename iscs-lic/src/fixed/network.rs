//! A network of integer layers as a list, run for any rows of its result.
//!
//! A layer needs the rows of its input that its taps reach; a list is run by finding these backwards, then computing forwards. An
//! output's value depends on nothing else, so a picture that is computed in bands is the same to the bit.

use std::ops::Range;

use super::conv::Conv;
use super::grid::Grid;
use super::kernel::Form;
use super::requantise::Curve;
use super::rounding::{LIMIT, saturate, shift};
use super::sigmoid::{SIGMOID_BITS, Sigmoid};

/// One step of a network.
#[derive(Debug)]
pub(crate) enum Layer {
    /// A convolution, with the activation that follows it.
    Conv(Conv),
    /// `after(branch(x) + skip(x))`; without layers, a branch gives x.
    Residual { branch: Network, skip: Network, after: Curve },
    /// `x + trunk(x) · σ(mask(x))`.
    Attention { trunk: Network, mask: Network, sigmoid: Sigmoid },
}

/// Layers in order.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) layers: Vec<Layer>,
}

impl Layer {
    fn branches(&self) -> Option<[&Network; 2]> {
        match self {
            Self::Conv(_) => None,
            Self::Residual { branch, skip, .. } => Some([branch, skip]),
            Self::Attention { trunk, mask, .. } => Some([trunk, mask]),
        }
    }

    fn out_len(&self, len: usize) -> usize {
        match self {
            Self::Conv(conv) => conv.out_len(len),
            Self::Residual { branch, .. } => branch.out_len(len),
            Self::Attention { .. } => len,
        }
    }

    fn rows_for(&self, out: &Range<usize>, height: usize) -> Range<usize> {
        let Some(branches) = self.branches() else {
            let Self::Conv(conv) = self else { unreachable!("what has no branches is a convolution") };
            return conv.rows_for(out, height);
        };
        let [a, b] = branches.map(|branch| branch.rows_for(out, height));
        let rows = a.start.min(b.start)..a.end.max(b.end);
        if let Self::Attention { .. } = self {
            rows.start.min(out.start)..rows.end.max(out.end)
        } else {
            rows
        }
    }

    fn run(&self, form: Form, input: &Grid, out: &Range<usize>) -> Grid {
        match self {
            Self::Conv(conv) => conv.run(form, input, out),
            Self::Residual { branch, skip, after } => {
                let mut sum = branch.run(form, input, out);
                if skip.layers.is_empty() {
                    add(&mut sum.values, input.band_values(out), *after);
                } else {
                    add(&mut sum.values, &skip.run(form, input, out).values, *after);
                }
                sum
            }
            Self::Attention { trunk, mask, sigmoid } => {
                let mut sum = trunk.run(form, input, out);
                let mask = mask.run(form, input, out);
                let parts = sum.values.iter_mut().zip(&mask.values).zip(input.band_values(out));
                for ((a, &m), &x) in parts {
                    let gated = shift(i64::from(*a) * i64::from(sigmoid.of(m)), SIGMOID_BITS);
                    *a = saturate(gated + i64::from(x));
                }
                sum
            }
        }
    }
}

/// `sum ← after(sat(sum + other))`.
fn add(sum: &mut [i32], other: &[i32], after: Curve) {
    for (a, &b) in sum.iter_mut().zip(other) {
        // Both are below 2²³ in magnitude.
        *a = after.of((*a + b).clamp(-LIMIT, LIMIT));
    }
}

impl Network {
    /// Rows or columns of the result for a side of the input.
    pub(crate) fn out_len(&self, len: usize) -> usize {
        self.layers.iter().fold(len, |len, layer| layer.out_len(len))
    }

    /// The rows of the input of each layer, and of the result, that the rows `out` need; the input has `height` rows.
    fn ranges(&self, out: &Range<usize>, height: usize) -> Vec<Range<usize>> {
        let mut heights = vec![height];
        for layer in &self.layers {
            heights.push(layer.out_len(heights[heights.len() - 1]));
        }
        let mut ranges = vec![out.clone()];
        for (layer, &height) in self.layers.iter().zip(&heights).rev() {
            let last = &ranges[ranges.len() - 1];
            ranges.push(layer.rows_for(last, height));
        }
        ranges.reverse();
        ranges
    }

    fn rows_for(&self, out: &Range<usize>, height: usize) -> Range<usize> {
        self.ranges(out, height).swap_remove(0)
    }

    /// The rows `out` of the result; `input` holds the rows that they need.
    pub(crate) fn run(&self, form: Form, input: &Grid, out: &Range<usize>) -> Grid {
        let ranges = self.ranges(out, input.height);
        let mut last: Option<Grid> = None;
        for (layer, range) in self.layers.iter().zip(&ranges[1..]) {
            last = Some(layer.run(form, last.as_ref().unwrap_or(input), range));
        }
        match last {
            Some(grid) if grid.rows == *out => grid,
            Some(grid) => grid.band(out.clone()),
            None => input.band(out.clone()),
        }
    }

    /// The whole result.
    pub(crate) fn run_whole(&self, form: Form, input: &Grid) -> Grid {
        self.run(form, input, &(0..self.out_len(input.height)))
    }
}
