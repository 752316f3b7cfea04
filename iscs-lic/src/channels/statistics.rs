//! Statistics of latent channels that follow from parameters alone.
//!
//! With `W[c]` for all weights of channel c in a layer, and Var for the variance of a population:
//!
//! | statistic | formula |
//! |---|---|
//! | weight variance | `v_c = Σ Var(W[c])` over the maps of `g_a` that write c |
//! | bias magnitude | `β_c = Σ \|b[c]\|` over the same |
//! | decoder variance | `u_c = Σ Var(W[c])` over the maps of `g_s` that read c |
//! | hyper-encoder variance | the same over `h_a` |
//! | scale variance | `q_c = Var(W[c])` of the row of the entropy head that gives the scale of c |
//! | scale bias | `b[c]` of that row |
//! | mean variance | `Var(W[c])` of the row that gives the mean of c |
//!
//! Sums run in `f64`, channel by channel in the order of the weights, so that no value depends on the other channels or on threads. The
//! variances of slices with entropy heads of their own are compared as they are, whatever their fan-in.

use std::fmt;

use grouping_core::stats::norms::moments;

use super::binding::{Kernels, LayerBinding};
use crate::checkpoint::Checkpoint;
use crate::{Error, Result};

/// One number a channel, of each kind that an architecture has layers for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Statistics {
    /// Variances of the weights that write a channel, v.
    pub weight_variance: Vec<f64>,
    /// Magnitudes of the biases that are added to a channel, β.
    pub bias_magnitude: Vec<f64>,
    /// Variances of the weights of `g_s` that read a channel, u.
    pub decoder_variance: Vec<f64>,
    /// Variances of the weights of `h_a` that read a channel.
    pub hyper_variance: Option<Vec<f64>>,
    /// Variances of the weights that give a channel's scale, q.
    pub scale_variance: Option<Vec<f64>>,
    /// Biases of those weights.
    pub scale_bias: Option<Vec<f64>>,
    /// Variances of the weights that give a channel's mean.
    pub mean_variance: Option<Vec<f64>>,
}

/// The kinds of statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Statistic {
    /// See [`Statistics::weight_variance`].
    WeightVariance,
    /// See [`Statistics::bias_magnitude`].
    BiasMagnitude,
    /// See [`Statistics::decoder_variance`].
    DecoderVariance,
    /// The product of weight variance and decoder variance.
    WeightTimesDecoder,
    /// See [`Statistics::hyper_variance`].
    HyperVariance,
    /// See [`Statistics::scale_variance`].
    ScaleVariance,
    /// See [`Statistics::scale_bias`].
    ScaleBias,
    /// See [`Statistics::mean_variance`].
    MeanVariance,
}

impl Statistic {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::WeightVariance,
        Self::BiasMagnitude,
        Self::DecoderVariance,
        Self::WeightTimesDecoder,
        Self::HyperVariance,
        Self::ScaleVariance,
        Self::ScaleBias,
        Self::MeanVariance,
    ];

    /// Its name in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::WeightVariance => "weight-variance",
            Self::BiasMagnitude => "bias-magnitude",
            Self::DecoderVariance => "decoder-variance",
            Self::WeightTimesDecoder => "weight-times-decoder",
            Self::HyperVariance => "hyper-variance",
            Self::ScaleVariance => "scale-variance",
            Self::ScaleBias => "scale-bias",
            Self::MeanVariance => "mean-variance",
        }
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Statistics {
    /// Of a checkpoint, of which the layers at both ends of the latents are read.
    ///
    /// ```
    /// use iscs_lic::channels::Statistics;
    /// use iscs_lic::checkpoint::Checkpoint;
    ///
    /// let statistics = Statistics::of(&Checkpoint::default_model()?)?;
    /// assert_eq!(statistics.weight_variance.len(), 64);
    /// assert!(statistics.scale_variance.is_some_and(|q| q.iter().all(|&q| q > 0.0)));
    /// # Ok::<(), iscs_lic::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Checkpoint::tensor`].
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let binding = LayerBinding::of(checkpoint);
        let m = binding.n_channels;
        let variance = |kernels: &[Kernels]| summed(m, kernels, |kernels| variances(checkpoint, kernels));
        let bias = |kernels: &[Kernels], of: fn(f64) -> f64| {
            summed(m, kernels, |kernels| Ok(biases(checkpoint, kernels)?.into_iter().map(of).collect()))
        };
        let where_there_are = |kernels: &[Kernels]| -> Result<Option<Vec<f64>>> {
            if kernels.is_empty() { Ok(None) } else { variance(kernels).map(Some) }
        };
        let scale_bias = match &binding.scales[..] {
            [] => None,
            scales => Some(bias(scales, |bias| bias)?),
        };
        Ok(Self {
            weight_variance: variance(&binding.writers)?,
            bias_magnitude: bias(&binding.writers, f64::abs)?,
            decoder_variance: variance(&binding.readers)?,
            hyper_variance: where_there_are(&binding.hyper_readers)?,
            scale_variance: where_there_are(&binding.scales)?,
            scale_bias,
            mean_variance: where_there_are(&binding.means)?,
        })
    }

    /// M.
    pub fn n_channels(&self) -> usize {
        self.weight_variance.len()
    }

    /// The values of a kind; none where the architecture has no such layers.
    pub fn get(&self, statistic: Statistic) -> Option<Vec<f64>> {
        match statistic {
            Statistic::WeightVariance => Some(self.weight_variance.clone()),
            Statistic::BiasMagnitude => Some(self.bias_magnitude.clone()),
            Statistic::DecoderVariance => Some(self.decoder_variance.clone()),
            Statistic::WeightTimesDecoder => {
                Some(self.weight_variance.iter().zip(&self.decoder_variance).map(|(v, u)| v * u).collect())
            }
            Statistic::HyperVariance => self.hyper_variance.clone(),
            Statistic::ScaleVariance => self.scale_variance.clone(),
            Statistic::ScaleBias => self.scale_bias.clone(),
            Statistic::MeanVariance => self.mean_variance.clone(),
        }
    }

    /// The variances of the entropy head's scale rows.
    ///
    /// # Errors
    /// [`Error::NoLayer`] for an architecture without an entropy head.
    pub(super) fn entropy_head(&self, checkpoint: &Checkpoint) -> Result<&[f64]> {
        let architecture = checkpoint.architecture().name();
        self.scale_variance.as_deref().ok_or(Error::NoLayer { architecture, layer: "entropy head" })
    }
}

/// What several maps give each channel, added up.
fn summed(m: usize, all: &[Kernels], of: impl Fn(&Kernels) -> Result<Vec<f64>>) -> Result<Vec<f64>> {
    let mut sums = vec![0.0; m];
    for kernels in all {
        let values = of(kernels)?;
        sums[kernels.channels.clone()].iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
    Ok(sums)
}

/// The variance of the weights of each channel.
fn variances(checkpoint: &Checkpoint, kernels: &Kernels) -> Result<Vec<f64>> {
    let tensor = checkpoint.tensor(&format!("{}.weight", kernels.layer))?;
    let others: Vec<usize> = (0..tensor.shape.len()).filter(|&axis| axis != kernels.axis).collect();
    let along = moments(&tensor.values, &tensor.shape, &others)?.values;
    let rows = kernels.first..kernels.first + kernels.channels.len();
    Ok(along[rows].iter().map(|moments| moments.variance(0)).collect())
}

/// The bias of each channel; zeros for a layer without one.
fn biases(checkpoint: &Checkpoint, kernels: &Kernels) -> Result<Vec<f64>> {
    let (name, rows) =
        (format!("{}.bias", kernels.layer), kernels.first..kernels.first + kernels.channels.len());
    if checkpoint.shape(&name).is_none() {
        return Ok(vec![0.0; rows.len()]);
    }
    Ok(checkpoint.tensor(&name)?.values[rows].iter().map(|&bias| f64::from(bias)).collect())
}
