//! Latents decoded position by position, row by row (Minnen et al. 2018, arXiv 1809.02736): `mbt2018` and Cheng et al. 2020.
//!
//! A masked 5×5 convolution sees the two rows above and two positions to the left. Three 1×1 convolutions turn the hyperprior's output
//! and the context, in this order, into scales and means. What follows from the hyperprior alone is computed for a whole row of positions
//! at once, and so is the context of the rows above; only the rest waits for the symbols to the left. Every sum has one order, so that
//! encoder and decoder find the same tables.

use burn::tensor::Device;
use grouping_core::simd::Level;

use super::super::strings::{Gaussian, Numbers, Port, check_finite, rounded};
use super::dense::Dense;
use super::hyper::Side;
use super::{Latents, gaussian};
use crate::Result;
use crate::checkpoint::{CONTEXT_KERNEL, Checkpoint};
use crate::container::Role;
use crate::model::{Planes, Runner};

/// Positions that the masked kernel sees on either side.
const MARGIN: usize = CONTEXT_KERNEL / 2;
/// Slope of leaky ReLUs below zero.
const SLOPE: f32 = 0.01;

/// A 1×1 convolution, or a part of one, and the bias that its sums begin with.
#[derive(Debug)]
struct Pointwise {
    dense: Dense,
    /// `dense.width()` values.
    bias: Vec<f32>,
}

impl Pointwise {
    /// Inputs `from..to` of the 1×1 convolution of this neutral name.
    fn load(checkpoint: &Checkpoint, name: &str, inputs: std::ops::Range<usize>) -> Result<Self> {
        let weight = checkpoint.tensor(&format!("{name}.weight"))?;
        let (n_out, n_all) = (weight.shape[0], weight.shape[1]);
        let dense = Dense::new([n_out, inputs.len()], |o, i| weight.values[o * n_all + inputs.start + i]);
        let bias = padded(checkpoint.tensor(&format!("{name}.bias"))?.values, &dense);
        Ok(Self { dense, bias })
    }
}

fn padded(mut bias: Vec<f32>, dense: &Dense) -> Vec<f32> {
    bias.resize(dense.width(), 0.0);
    bias
}

/// A serial prior.
#[derive(Debug)]
pub(in super::super) struct Serial {
    pub(super) side: Side,
    h_s: Runner,
    gaussian: Gaussian,
    m: usize,
    /// Channels of the hyperprior's output.
    n_side: usize,
    /// The masked convolution's bias.
    context_bias: Vec<f32>,
    /// The masked convolution over five positions of the second row above, of the first, and two to the left.
    context: [Dense; 3],
    /// The first 1×1 convolution over the hyperprior's output, and over the context; only the first has a bias.
    first: [Pointwise; 2],
    second: Pointwise,
    third: Pointwise,
}

impl Serial {
    pub(super) fn load(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let design = checkpoint.design();
        let m = design.m;
        let context = &design.contexts[0];
        let weight = checkpoint.tensor(&format!("{}.weight", context.name))?.values;
        let part = |row: usize, n_columns: usize| {
            // Inputs are positions from the left, each with all channels.
            Dense::new([context.n_out, n_columns * m], |o, i| {
                let (column, channel) = (i / m, i % m);
                weight[((o * m + channel) * CONTEXT_KERNEL + row) * CONTEXT_KERNEL + column]
            })
        };
        let context_parts = [part(0, CONTEXT_KERNEL), part(1, CONTEXT_KERNEL), part(2, MARGIN)];
        let context_bias = checkpoint.tensor(&format!("{}.bias", context.name))?.values;
        let layer =
            |i: usize, n_in: usize| Pointwise::load(checkpoint, &format!("entropy_parameters.{i}"), 0..n_in);
        let [n_first, n_second, n_third] = [0, 2, 4].map(|i| {
            let shape = checkpoint.shape(&format!("entropy_parameters.{i}.weight"));
            shape.map_or(0, |shape| shape[1])
        });
        let n_side = n_first - context.n_out;
        let on_context = Pointwise::load(checkpoint, "entropy_parameters.0", n_side..n_first)?;
        Ok(Self {
            side: Side::load(checkpoint, device)?,
            h_s: Runner::load(checkpoint, design.network("h_s"), device)?,
            gaussian: gaussian(checkpoint, &design.gaussians[0])?,
            m,
            n_side,
            context_bias: padded(context_bias, &context_parts[0]),
            context: context_parts,
            first: [layer(0, n_side)?, on_context],
            second: layer(2, n_second)?,
            third: layer(4, n_third)?,
        })
    }

    pub(super) fn walk(&self, port: &mut Port<'_>, latents: Latents<'_>) -> Result<Planes> {
        let side = self.h_s.run_planes(&self.side.walk(port, latents)?, latents.z_strip())?;
        let (m, n_side, height, width) = (self.m, self.n_side, latents.height, latents.width);
        let mut y_hat = Planes::zeros([m, height, width]);
        if !port.begin(Role::Slice(0), true)? {
            return Ok(y_hat);
        }
        let level = Level::detect();
        // ŷ with a margin of zeros, channels last: two rows above and two columns on either side.
        let line = (width + 2 * MARGIN) * m;
        let mut decoded = vec![0.0f32; (height + MARGIN) * line];
        let [on_hyper, on_context] = &self.first;
        let (n_first, n_context) = (on_hyper.dense.width(), self.context_bias.len());
        let (mut second, mut third) = (vec![0.0; self.second.bias.len()], vec![0.0; self.third.bias.len()]);
        let (mut symbols, mut here) = (vec![0i32; m], vec![]);
        let area = height * width;
        for row in 0..height {
            let hyper: Vec<f32> = (0..width)
                .flat_map(|x| (0..n_side).map(move |c| (c, x)))
                .map(|(c, x)| side.values[c * area + row * width + x])
                .collect();
            let mut first: Vec<f32> = on_hyper.bias.repeat(width);
            on_hyper.dense.add(level, |x| &hyper[x * n_side..(x + 1) * n_side], &mut first);
            let mut context: Vec<f32> = self.context_bias.repeat(width);
            for (above, dense) in self.context[..MARGIN].iter().enumerate() {
                let from = (row + above) * line;
                let seen = |x: usize| &decoded[from + x * m..from + (x + CONTEXT_KERNEL) * m];
                dense.add(level, seen, &mut context);
            }
            for x in 0..width {
                let at = (row + MARGIN) * line + x * m;
                let context = &mut context[x * n_context..(x + 1) * n_context];
                self.context[2].add(level, |_| &decoded[at..at + MARGIN * m], context);
                let first = &mut first[x * n_first..(x + 1) * n_first];
                on_context.dense.add(level, |_| context, first);
                leaky(first);
                second.copy_from_slice(&self.second.bias);
                self.second.dense.add(level, |_| first, &mut second);
                leaky(&mut second);
                third.copy_from_slice(&self.third.bias);
                self.third.dense.add(level, |_| &second, &mut third);
                let (scales, means) = third[..2 * m].split_at(m);
                check_finite("means", means)?;
                let rows = self.gaussian.rows(scales)?;
                if let Some(y) = latents.y {
                    here.clear();
                    here.extend((0..m).map(|c| y.values[c * area + row * width + x]));
                    symbols = rounded("y", here.iter().copied(), means)?;
                }
                let numbers = Numbers { latents: &here, means, scales };
                port.next(&self.gaussian.tables, &rows, &mut symbols, numbers)?;
                let to = at + MARGIN * m;
                for (c, ((to, &symbol), mean)) in
                    decoded[to..to + m].iter_mut().zip(&symbols).zip(means).enumerate()
                {
                    *to = symbol as f32 + mean;
                    y_hat.values[c * area + row * width + x] = *to;
                }
            }
        }
        port.end(&self.gaussian.tables)?;
        Ok(y_hat)
    }
}

fn leaky(values: &mut [f32]) {
    values.iter_mut().for_each(|v| *v = if *v > 0.0 { *v } else { SLOPE * *v });
}
