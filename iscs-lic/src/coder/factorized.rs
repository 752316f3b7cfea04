//! Tables of the factorized prior: a learned cumulative distribution a channel (`EntropyBottleneck` of CompressAI; Ballé et al., 2018, appendix 6.1).
//!
//! The logit of the distribution function of a channel is a chain of small layers: x ← softplus(Mᵢ)·x + bᵢ, and, but for the last,
//! x ← x + tanh(fᵢ)·tanh(x). The integer k around the median m has σ(logit(m + k + ½)) − σ(logit(m + k − ½)).
//!
//! CompressAI computes in `f32`. Here each of its operations is rounded to `f32` in its order, and the functions are those of
//! [`special`](super::special), rounded once. PyTorch's own functions differ between instruction sets, by a unit in the last place, so that
//! one build of CompressAI may differ from another, and from this, by single counts.

use super::cumulative::cumulative_counts;
use super::special;
use super::tables::Tables;
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

/// softplus as PyTorch computes it.
fn softplus(x: f32) -> f32 {
    if x > 20.0 { x } else { special::log1p(f64::from(special::exp(f64::from(x)) as f32)) as f32 }
}

fn tanh(x: f32) -> f32 {
    special::tanh(f64::from(x)) as f32
}

/// The logistic function as PyTorch computes it.
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + special::exp(f64::from(-x)) as f32)
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
                weights: matrix.iter().map(|&x| softplus(x)).collect(),
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

    /// The logit of a channel's distribution function; `scratch` holds two vectors of the widest layer.
    fn logit(&self, channel: usize, x: f32, scratch: &mut [Vec<f32>; 2]) -> f32 {
        let [values, next] = scratch;
        values.clear();
        values.push(x);
        for layer in &self.layers {
            let first = channel * layer.n_out;
            next.clear();
            for row in first..first + layer.n_out {
                let weights = &layer.weights[row * layer.n_in..][..layer.n_in];
                let products = weights.iter().zip(values.iter()).map(|(w, x)| w * x);
                let sum = products.reduce(|sum, product| sum + product).unwrap_or(0.0) + layer.biases[row];
                next.push(match layer.gates.get(row) {
                    Some(gate) => sum + gate * tanh(sum),
                    None => sum,
                });
            }
            std::mem::swap(values, next);
        }
        values[0]
    }

    /// How far the integers of each channel's table reach below and above its median.
    fn reaches(&self) -> Result<Vec<[usize; 2]>> {
        let reach = |three: &[f32]| {
            let (below, above) =
                ((three[1] - three[0]).ceil().max(0.0), (three[2] - three[1]).ceil().max(0.0));
            // One more for the median and one for the escape, each with a count.
            if !(below + above < 65_534.0) {
                return Err(Error::coding("quantiles of a channel", "less than 65,534 apart", below + above));
            }
            Ok([below as usize, above as usize])
        };
        self.quantiles.chunks_exact(3).map(reach).collect()
    }
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
        let mut scratch = [Vec::new(), Vec::new()];
        let mut rows = Vec::with_capacity(reaches.len());
        for (channel, &[below, above]) in reaches.iter().enumerate() {
            let start = prior.quantiles[3 * channel + 1] - below as f32;
            let mut at = |i: usize, half: f32| prior.logit(channel, (i as f32 + start) + half, &mut scratch);
            let mut probabilities: Vec<f32> =
                (0..=below + above).map(|i| sigmoid(at(i, 0.5)) - sigmoid(at(i, -0.5))).collect();
            probabilities.push(sigmoid(at(0, -0.5)) + sigmoid(-at(longest - 1, 0.5)));
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
