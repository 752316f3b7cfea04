//! Frequencies of the rotary positions, plain or stretched for long contexts.
//!
//! Plain: `f = θ^(−2j/d)` for pair j of d/2 (Su et al. 2021, §3.2.2). The scaling `llama3`, of the checkpoints of Llama 3.1 and
//! later, divides the slow ones by `factor`: with the wavelength `λ = 2π/f` and the original context L,
//!
//! - `λ < L/high`: f;
//! - `λ > L/low`: f/factor;
//! - between: `(1 − s)·f/factor + s·f` with `s = (L/λ − low)/(high − low)`.
//!
//! Deviation: computed in f64, where Hugging Face's is f32.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};

/// How rotary frequencies are stretched beyond the context that a model was first trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Not at all.
    #[default]
    None,
    /// The rule `llama3`; see the module's documentation in the source.
    Llama3 {
        /// What the slow frequencies are divided by, at least 1.
        factor: f64,
        /// Wavelengths above `original_max_positions / low_freq_factor` are slow; above zero.
        low_freq_factor: f64,
        /// Wavelengths below `original_max_positions / high_freq_factor` are kept; above `low_freq_factor`.
        high_freq_factor: f64,
        /// The context of the first training, in tokens.
        original_max_positions: usize,
    },
}

impl RopeScaling {
    fn apply(self, frequency: f64) -> f64 {
        let Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_positions } = self else {
            return frequency;
        };
        // How often the pair turns within the original context.
        let turns = original_max_positions as f64 * frequency / TAU;
        let kept = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
        (1.0 - kept) * frequency / factor + kept * frequency
    }
}

/// The frequencies of the `head_dim / 2` pairs of a head, in radians a position.
pub(super) fn frequencies(head_dim: usize, theta: f64, scaling: RopeScaling) -> Vec<f64> {
    let half = head_dim / 2;
    (0..half).map(|j| scaling.apply(theta.powf(-(j as f64) / half as f64))).collect()
}
