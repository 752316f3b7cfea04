//! What a decoder shows of a channel that is not sent: one constant a channel.
//!
//! | prior | constant |
//! |---|---|
//! | factorised | the channel's median, which the symbol 0 decodes to |
//! | scale hyperprior | 0, likewise |
//! | mean-scale hyperprior | the mean over positions of what `h_s` predicts where ẑ has its medians everywhere |
//! | serial context | likewise, of what its entropy parameters predict from that and from a context in which nothing is decoded yet |
//!
//! Networks run in `f64` on a plane without borders: both sides wrap around, so that a constant ẑ gives means of period 4 in both directions,
//! which one period shows.

use crate::checkpoint::{Architecture, Checkpoint, Conv, Layer};
use crate::{Error, Result};

/// Planes whose sides wrap around.
struct Torus {
    side: usize,
    /// `[channels, side, side]`.
    values: Vec<f64>,
}

/// The constant of each channel of y, `[M]`.
pub(super) fn constants(checkpoint: &Checkpoint) -> Result<Vec<f64>> {
    let m = checkpoint.m();
    match checkpoint.architecture() {
        Architecture::FactorizedPrior | Architecture::FactorizedPriorRelu => {
            Ok(checkpoint.medians()?.into_iter().map(f64::from).collect())
        }
        Architecture::ScaleHyperprior => Ok(vec![0.0; m]),
        _ => {
            let medians = checkpoint.medians()?.into_iter().map(f64::from).collect();
            let mut head = run(checkpoint, "h_s", Torus { side: 1, values: medians })?;
            let area = head.side * head.side;
            if let Some(context) = checkpoint.design().contexts.first() {
                let bias = checkpoint.tensor(&format!("{}.bias", context.name))?.values;
                head.values.extend(bias.iter().flat_map(|&b| std::iter::repeat_n(f64::from(b), area)));
                head = run(checkpoint, "entropy_parameters", head)?;
            }
            let means = head.values.chunks_exact(area).skip(m);
            Ok(means.map(|plane| plane.iter().sum::<f64>() / area as f64).collect())
        }
    }
}

/// A network on planes without borders.
fn run(checkpoint: &Checkpoint, network: &str, input: Torus) -> Result<Torus> {
    let mut x = input;
    for (name, layer) in checkpoint.design().network(network).named() {
        x = match layer {
            Layer::Conv(conv) => convolved(checkpoint, &name, conv, &x, false)?,
            Layer::Deconv(conv) => convolved(checkpoint, &name, conv, &x, true)?,
            Layer::Relu => x.each(|v| v.max(0.0)),
            Layer::LeakyRelu => x.each(|v| if v > 0.0 { v } else { 0.01 * v }),
            other => {
                let expected = "convolutions, and what acts on each value alone";
                return Err(Error::format(checkpoint.path(), name, expected, format!("{other:?}")));
            }
        };
    }
    Ok(x)
}

impl Torus {
    fn each(mut self, f: impl Fn(f64) -> f64) -> Self {
        self.values.iter_mut().for_each(|v| *v = f(*v));
        self
    }
}

/// A convolution, or a transposed one whose every input position scatters its kernel.
fn convolved(
    checkpoint: &Checkpoint,
    name: &str,
    conv: &Conv,
    x: &Torus,
    is_transposed: bool,
) -> Result<Torus> {
    let Conv { n_in, n_out, kernel, stride, has_bias } = *conv;
    let weight = checkpoint.tensor(&format!("{name}.weight"))?.values;
    let bias = if has_bias { checkpoint.tensor(&format!("{name}.bias"))?.values } else { vec![0.0; n_out] };
    let side = if is_transposed { x.side * stride } else { x.side / stride };
    let mut values: Vec<f64> =
        bias.iter().flat_map(|&b| std::iter::repeat_n(f64::from(b), side * side)).collect();
    let half = kernel / 2;
    // The position that a tap joins with position `at` of the shorter grid, on the longer one of `len` positions.
    let joined = |at: usize, tap: usize, len: usize| (at * stride + tap + len * half - half) % len;
    let grid = side.min(x.side);
    for o in 0..n_out {
        for i in 0..n_in {
            let first = if is_transposed { i * n_out + o } else { o * n_in + i } * kernel * kernel;
            for (tap, &w) in weight[first..first + kernel * kernel].iter().enumerate() {
                let (row, column) = (tap / kernel, tap % kernel);
                for at in 0..grid * grid {
                    let (short, long) =
                        (at, |len: usize| joined(at / grid, row, len) * len + joined(at % grid, column, len));
                    let (from, to) = if is_transposed { (short, long(side)) } else { (long(x.side), short) };
                    values[o * side * side + to] += f64::from(w) * x.values[i * x.side * x.side + from];
                }
            }
        }
    }
    Ok(Torus { side, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_scale_hyperprior_has_a_constant_a_channel() {
        let checkpoint = Checkpoint::default_model().expect("the model");
        let constants = constants(&checkpoint).expect("constants");
        assert_eq!(constants.len(), 64, "one a channel");
        let largest = constants.iter().fold(0.0f64, |most, c| most.max(c.abs()));
        // By NumPy, of the same sums.
        assert!((largest - 2.840_716_949).abs() < 1e-6, "{largest}");
    }
}
