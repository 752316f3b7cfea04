//! Scores of latent channels: how statistics make one number a channel.
//!
//! `s_c = α·n(v_c) + β·n(β_c) + γ·n(q_c)`, n a [`Normalisation`] over the channels, v, β and q those of [`Statistics`]:
//!
//! | preset | α, β, γ | n | needs |
//! |---|---|---|---|
//! | `literal` | 1, 1, 0 | min-max | parameters |
//! | `entropy-head` | 0, 0, 1 | min-max | parameters, a hyperprior |
//! | `combined` | 1, 1, 1 | min-max | parameters, a hyperprior |
//! | `rank` | 1, 1, 1 | rank | parameters, a hyperprior |
//! | `pink-noise` | the variance of y on synthetic pictures | | the networks |
//! | `energy` | the variance of y on pictures | | pictures |
//! | `oracle` | how much the error grows when the channel is set to its mean | | pictures |
//!
//! `literal` is what the abstract of the paper names. On the built-in model it orders the channels little better than chance, and
//! `entropy-head` nearly as the ablation does: a trained hyper-decoder spreads its output most where a channel's scale varies most.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::normalisation::Normalisation;
use super::statistics::Statistics;
use crate::checkpoint::Checkpoint;
use crate::{Error, Result};

/// Which score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Preset {
    /// Weight variance and bias magnitude.
    Literal,
    /// The spread of what gives the scale.
    EntropyHead,
    /// Both.
    Combined,
    /// Both, by rank.
    Rank,
    /// The variance of y on synthetic pictures of 1/f noise.
    PinkNoise,
    /// The variance of y on pictures.
    Energy,
    /// The ablation on pictures.
    Oracle,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Literal,
        Self::EntropyHead,
        Self::Combined,
        Self::Rank,
        Self::PinkNoise,
        Self::Energy,
        Self::Oracle,
    ];

    /// Its name, which [`Preset::from_str`] reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Literal => "literal",
            Self::EntropyHead => "entropy-head",
            Self::Combined => "combined",
            Self::Rank => "rank",
            Self::PinkNoise => "pink-noise",
            Self::Energy => "energy",
            Self::Oracle => "oracle",
        }
    }

    /// How it follows from parameters; none where it needs networks to run.
    pub fn formula(self) -> Option<Formula> {
        let formula = |[weight, bias, entropy]: [f64; 3], normalisation| {
            Some(Formula { weight, bias, entropy, decoder: 0.0, normalisation })
        };
        match self {
            Self::Literal => formula([1.0, 1.0, 0.0], Normalisation::MinMax),
            Self::EntropyHead => formula([0.0, 0.0, 1.0], Normalisation::MinMax),
            Self::Combined => formula([1.0; 3], Normalisation::MinMax),
            Self::Rank => formula([1.0; 3], Normalisation::Rank),
            Self::PinkNoise | Self::Energy | Self::Oracle => None,
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = Error;

    /// Reads the name.
    ///
    /// # Errors
    /// [`Error::Core`] for any other text.
    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|preset| preset.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::setting("preset", format!("one of {names}"), text)
        })
    }
}

/// Weights of statistics in a score, and what brings them to one scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Formula {
    /// α, of the weight variance.
    pub weight: f64,
    /// β, of the bias magnitude.
    pub bias: f64,
    /// γ, of the variance of the entropy head's scale rows.
    pub entropy: f64,
    /// Of the decoder variance; 0 in every preset, since it falls where importance rises in the models that were looked at.
    pub decoder: f64,
    /// What brings them to one scale.
    pub normalisation: Normalisation,
}

impl Formula {
    /// One score a channel. A statistic of weight 0 is not looked at.
    ///
    /// # Errors
    /// [`Error::NoLayer`] for an architecture without an entropy head, where `entropy` is not 0.
    pub fn scores(&self, statistics: &Statistics, checkpoint: &Checkpoint) -> Result<Vec<f64>> {
        let entropy = if self.entropy == 0.0 { &[][..] } else { statistics.entropy_head(checkpoint)? };
        let terms = [
            (self.weight, &statistics.weight_variance[..]),
            (self.bias, &statistics.bias_magnitude[..]),
            (self.entropy, entropy),
            (self.decoder, &statistics.decoder_variance[..]),
        ];
        let mut scores = vec![0.0; statistics.n_channels()];
        for (weight, values) in terms.into_iter().filter(|(weight, _)| *weight != 0.0) {
            let values = self.normalisation.apply(values);
            scores.iter_mut().zip(values).for_each(|(score, value)| *score += weight * value);
        }
        Ok(scores)
    }
}

/// One score a channel, from parameters alone, `[M]`.
///
/// ```
/// use iscs_lic::channels::{Preset, rank_by_score, scores};
/// use iscs_lic::checkpoint::Checkpoint;
///
/// let scores = scores(&Checkpoint::default_model()?, Preset::EntropyHead)?;
/// let best = rank_by_score(&scores)[0];
/// assert_eq!(scores[best], 1.0, "min-max");
/// # Ok::<(), iscs_lic::Error>(())
/// ```
///
/// # Errors
/// [`Error::NoLayer`] for an architecture without what the preset needs; [`Error::Core`] for a preset that needs networks to run, and as
/// [`Checkpoint::tensor`].
pub fn scores(checkpoint: &Checkpoint, preset: Preset) -> Result<Vec<f64>> {
    let formula = preset.formula().ok_or_else(|| {
        let by_parameters = Preset::ALL.into_iter().filter(|preset| preset.formula().is_some());
        let names = by_parameters.map(Preset::name).collect::<Vec<_>>().join(", ");
        Error::setting("preset", format!("one that follows from parameters alone: {names}"), preset)
    })?;
    formula.scores(&Statistics::of(checkpoint)?, checkpoint)
}

#[cfg(test)]
mod tests {
    use grouping_core::testing::assert_refused;

    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for preset in Preset::ALL {
            assert_eq!(preset.to_string().parse::<Preset>().expect("a name"), preset, "{preset}");
            let json = serde_json::to_string(&preset).expect("JSON");
            assert_eq!(json, format!("\"{preset}\""), "the same name in JSON");
        }
        let expected = "preset: expected one of literal, entropy-head, combined, rank, pink-noise, energy, oracle, found best";
        assert_refused("best".parse::<Preset>(), expected);
    }

    #[test]
    fn a_preset_of_pictures_does_not_follow_from_parameters() {
        let checkpoint = Checkpoint::default_model().expect("the model");
        for preset in [Preset::PinkNoise, Preset::Energy, Preset::Oracle] {
            let words = format!("literal, entropy-head, combined, rank, found {preset}");
            assert_refused(scores(&checkpoint, preset), &words);
        }
    }
}
