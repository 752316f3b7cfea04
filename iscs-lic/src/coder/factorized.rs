//! Tables of the factorized prior: a learned cumulative distribution a channel (`EntropyBottleneck` of CompressAI; Ballé et al., 2018, appendix 6.1).
//!
//! The logit of the distribution function of a channel is a chain of small layers: x ← softplus(Mᵢ)·x + bᵢ, and, but for the last,
//! x ← x + tanh(fᵢ)·tanh(x). The integer k around the median m has σ(logit(m + k + ½)) − σ(logit(m + k − ½)).
//!
//! CompressAI computes in `f32`, and rounding decides counts. So each of its operations is rounded as there, in its order:
//! - softplus and σ by the [functions](super::vectorised) of PyTorch's vectorised code; the last elements of a tensor, those behind its last
//!   32, by correctly rounded ones, as its scalar code nearly does;
//! - tanh, which PyTorch takes from MKL, correctly rounded;
//! - products sum by sum, fused where both sides of a layer have four units and it computes 400 products or more, as MKL does.
//!
//! Tables of CompressAI's own models (layers of three units, channels by 32s) are then those of CompressAI on AVX2 and AVX-512. Without these
//! instructions CompressAI disagrees with itself, by single counts in every tenth row; other shapes may differ so too.

use super::cumulative::cumulative_counts;
use super::tables::Tables;
use super::{special, vectorised};
use crate::{Error, Result};

/// The parameters of a factorized prior, as a checkpoint holds them.
#[derive(Clone, Debug, PartialEq)]
pub struct FactorizedPrior {
    layers: Vec<Layer>,
    /// `[channels, 1, 3]`: the lower end, the median and the upper end.
    quantiles: Vec<f32>,
}

#[derive(Clone, Debug, PartialEq)]
struct Layer {
    n_in: usize,
    n_out: usize,
    /// `[channels, n_out, n_in]`, softplus applied.
    weights: Vec<f32>,
    /// `[channels, n_out]`.
    biases: Vec<f32>,
    /// `[channels, n_out]`, tanh applied; none in the last layer.
    gates: Vec<f32>,
}

/// Elements that one step of PyTorch's vectorised loops takes; those behind the last whole step are computed one by one.
const STEP: usize = 32;

/// How an element is computed.
#[derive(Clone, Copy)]
enum Loop {
    Vectorised,
    Scalar,
}

impl Loop {
    /// Element `i` of a contiguous tensor of `n`.
    fn of(i: usize, n: usize) -> Self {
        if i < n - n % STEP { Self::Vectorised } else { Self::Scalar }
    }

    fn exp(self, x: f32) -> f32 {
        match self {
            Self::Vectorised => vectorised::exp(x),
            Self::Scalar => special::exp(f64::from(x)) as f32,
        }
    }

    fn sigmoid(self, x: f32) -> f32 {
        1.0 / (1.0 + self.exp(-x))
    }

    fn softplus(self, x: f32) -> f32 {
        match self {
            _ if x > 20.0 => x,
            Self::Vectorised => vectorised::log1p(self.exp(x)),
            Self::Scalar => special::log1p(f64::from(self.exp(x))) as f32,
        }
    }
}

fn tanh(x: f32) -> f32 {
    special::tanh(f64::from(x)) as f32
}

impl FactorizedPrior {
    /// From the tensors of an `EntropyBottleneck`, row-major: `matrices.i [channels, n_out, n_in]`, `biases.i [channels, n_out, 1]`,
    /// `factors.i [channels, n_out, 1]` for all layers but the last, `quantiles [channels, 1, 3]`.
    ///
    /// # Errors
    ///
    /// [`Error::Coding`] for shapes that do not fit each other, and for a value that is not finite.
    pub fn new(
        matrices: &[&[f32]],
        biases: &[&[f32]],
        factors: &[&[f32]],
        quantiles: &[f32],
    ) -> Result<Self> {
        let channels = quantiles.len() / 3;
        if channels == 0 || !quantiles.len().is_multiple_of(3) {
            return Err(Error::coding("quantiles", "three a channel", quantiles.len()));
        }
        let n = matrices.len();
        if n == 0 || biases.len() != n || factors.len() + 1 != n {
            let found = format!("{n}, {} and {}", biases.len(), factors.len());
            return Err(Error::coding("matrices, biases and factors", "n, n and n − 1 of them", found));
        }
        let mut layers = Vec::with_capacity(n);
        let mut n_in = 1;
        for (i, (&matrix, &bias)) in matrices.iter().zip(biases).enumerate() {
            let is_last = i + 1 == n;
            let n_out = if is_last { 1 } else { bias.len() / channels };
            if n_out == 0 || bias.len() != channels * n_out {
                let expected = format!(
                    "{} values",
                    if is_last { channels.to_string() } else { format!("a multiple of {channels}") }
                );
                return Err(Error::coding(format!("biases.{i}"), expected, bias.len()));
            }
            let factor = if is_last { &[][..] } else { factors[i] };
            let n_gates = if is_last { 0 } else { channels * n_out };
            let weights = channels.checked_mul(n_out).and_then(|n| n.checked_mul(n_in));
            for (name, values, wanted) in
                [("matrices", matrix, weights.unwrap_or(usize::MAX)), ("factors", factor, n_gates)]
            {
                if values.len() != wanted {
                    return Err(Error::coding(
                        format!("{name}.{i}"),
                        format!("{wanted} values"),
                        values.len(),
                    ));
                }
            }
            let finite = [matrix, bias, factor].iter().all(|values| values.iter().all(|x| x.is_finite()));
            if !finite {
                return Err(Error::coding(
                    format!("layer {i} of the prior"),
                    "finite values",
                    "NaN or infinity",
                ));
            }
            layers.push(Layer {
                n_in,
                n_out,
                weights: softplus(matrix),
                biases: bias.to_vec(),
                gates: factor.iter().map(|&x| tanh(x)).collect(),
            });
            n_in = n_out;
        }
        if let Some(x) = quantiles.iter().find(|x| !x.is_finite()) {
            return Err(Error::coding("quantiles", "finite values", x));
        }
        Ok(Self { layers, quantiles: quantiles.to_vec() })
    }

    /// How many channels it has.
    pub fn n_channels(&self) -> usize {
        self.quantiles.len() / 3
    }

    /// The median of each channel: what is subtracted before rounding and added after decoding.
    pub fn medians(&self) -> Vec<f32> {
        self.quantiles.chunks_exact(3).map(|three| three[1]).collect()
    }

    /// The logit of a channel's distribution function, one of `n_points` that are computed together; `scratch` holds two vectors of the widest
    /// layer.
    fn logit(&self, channel: usize, x: f32, n_points: usize, scratch: &mut [Vec<f32>; 2]) -> f32 {
        let [values, next] = scratch;
        values.clear();
        values.push(x);
        for layer in &self.layers {
            let first = channel * layer.n_out;
            let is_fused = layer.n_in > 3 && layer.n_out > 3 && layer.n_in * layer.n_out * n_points >= 400;
            next.clear();
            for row in first..first + layer.n_out {
                let weights = &layer.weights[row * layer.n_in..][..layer.n_in];
                let pairs = weights.iter().zip(values.iter());
                let sum = if is_fused {
                    pairs.fold(0.0, |sum, (&w, &x)| vectorised::fma(w, x, sum))
                } else {
                    pairs.map(|(w, x)| w * x).fold(0.0, |sum, product| sum + product)
                };
                let sum = sum + layer.biases[row];
                next.push(match layer.gates.get(row) {
                    Some(gate) => sum + gate * tanh(sum),
                    None => sum,
                });
            }
            std::mem::swap(values, next);
        }
        values[0]
    }

    /// The probability of a channel's symbol: of the integer that lies so far from its median.
    ///
    /// # Panics
    ///
    /// For a channel that it does not have.
    pub fn likelihood(&self, channel: usize, symbol: i32) -> f64 {
        let x = self.quantiles[3 * channel + 1] + symbol as f32;
        let mut scratch = [Vec::new(), Vec::new()];
        let [below, above] = [x - 0.5, x + 0.5].map(|x| f64::from(self.logit(channel, x, 1, &mut scratch)));
        // On the side where the logistic function does not saturate.
        let sign = if below + above > 0.0 { -1.0 } else { 1.0 };
        let [below, above] = [below, above].map(|logit| 1.0 / (1.0 + special::exp(-sign * logit)));
        (above - below).abs()
    }

    /// How far the integers of each channel's table reach below and above its median.
    fn reaches(&self) -> Result<Vec<[usize; 2]>> {
        let reach = |three: &[f32]| {
            let (below, above) =
                ((three[1] - three[0]).ceil().max(0.0), (three[2] - three[1]).ceil().max(0.0));
            // One more for the median and one for the escape, each with a count.
            if below + above >= 65_534.0 {
                return Err(Error::coding("quantiles of a channel", "less than 65,534 apart", below + above));
            }
            Ok([below as usize, above as usize])
        };
        self.quantiles.chunks_exact(3).map(reach).collect()
    }
}

/// softplus of a whole tensor.
fn softplus(tensor: &[f32]) -> Vec<f32> {
    let softplus = |(i, &x): (usize, &f32)| Loop::of(i, tensor.len()).softplus(x);
    tensor.iter().enumerate().map(softplus).collect()
}

impl Tables {
    /// One table a channel, as CompressAI's `EntropyBottleneck.update`.
    ///
    /// ```
    /// use iscs_lic::coder::{FactorizedPrior, Tables};
    ///
    /// // A logistic distribution: one layer, softplus(0.541…) = 1.
    /// let prior = FactorizedPrior::new(&[&[0.541_324_85]], &[&[0.0]], &[], &[-10.0, 0.0, 10.0])?;
    /// let tables = Tables::factorized(&prior)?;
    /// assert_eq!((tables.offset(0), tables.row(0).len()), (-10, 23));
    /// # Ok::<(), iscs_lic::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Coding`] for quantiles so far apart that a table has no room, and for parameters that give no distribution.
    pub fn factorized(prior: &FactorizedPrior) -> Result<Self> {
        let reaches = prior.reaches()?;
        // CompressAI takes the upper tail of every channel where the longest table ends.
        let longest = reaches.iter().map(|[below, above]| below + above + 1).max().unwrap_or(1);
        let n_channels = reaches.len();
        let mut scratch = [Vec::new(), Vec::new()];
        let mut rows = Vec::with_capacity(reaches.len());
        for (channel, &[below, above]) in reaches.iter().enumerate() {
            let start = prior.quantiles[3 * channel + 1] - below as f32;
            let mut at =
                |i: usize, half: f32| prior.logit(channel, (i as f32 + start) + half, longest, &mut scratch);
            let mut probability = |i: usize| {
                let by = Loop::of(channel * longest + i, n_channels * longest);
                by.sigmoid(at(i, 0.5)) - by.sigmoid(at(i, -0.5))
            };
            let mut probabilities: Vec<f32> = (0..=below + above).map(&mut probability).collect();
            // The first values of the channels are not contiguous.
            let lower = Loop::Scalar.sigmoid(at(0, -0.5));
            probabilities.push(lower + Loop::of(channel, n_channels).sigmoid(-at(longest - 1, 0.5)));
            rows.push((cumulative_counts(&probabilities)?, -(below as i32)));
        }
        Self::from_rows(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let words = |result: Result<FactorizedPrior>| result.expect_err("refused").to_string();
        let quantiles = [-1.0, 0.0, 1.0];
        let of = |matrices: &[&[f32]], biases: &[&[f32]], factors: &[&[f32]]| {
            FactorizedPrior::new(matrices, biases, factors, &quantiles)
        };
        assert!(
            words(FactorizedPrior::new(&[&[0.0]], &[&[0.0]], &[], &[0.0; 4])).contains("three a channel"),
            "quantiles"
        );
        assert!(words(of(&[&[0.0]], &[], &[])).contains("1, 0 and 0"), "numbers of tensors");
        assert!(words(of(&[&[0.0, 0.0]], &[&[0.0]], &[])).contains("matrices.0"), "a matrix");
        assert!(words(of(&[&[0.0]], &[&[0.0, 0.0]], &[])).contains("biases.0"), "biases");
        assert!(words(of(&[&[0.0], &[0.0]], &[&[0.0], &[0.0]], &[&[]])).contains("factors.0"), "factors");
        assert!(words(of(&[&[f32::NAN]], &[&[0.0]], &[])).contains("finite"), "NaN");
        let far = FactorizedPrior::new(&[&[0.0]], &[&[0.0]], &[], &[-1e9, 0.0, 1e9]).expect("finite");
        assert!(Tables::factorized(&far).expect_err("refused").to_string().contains("65,534"), "no room");
    }
}
