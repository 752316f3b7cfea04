//! The next token of a language model: the most probable, or drawn.
//!
//! With temperature T > 0, token i is drawn with probability ∝ exp(zᵢ/T), from the fewest most probable tokens that hold `top_p`
//! of the probability together (nucleus sampling, Holtzman et al. 2020). T = 0 takes the largest logit, the first on ties.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Error, Result};

/// Chooses tokens from logits; equal seeds choose equally.
#[derive(Debug)]
pub(super) struct Sampler {
    temperature: f64,
    top_p: f64,
    rng: ChaCha8Rng,
}

impl Sampler {
    pub(super) fn new(temperature: f64, top_p: f64, seed: u64) -> Result<Self> {
        let misfit = |name: &str, expected: &str, found: f64| {
            Err(Error::Setting { name: name.into(), expected: expected.into(), found: found.to_string() })
        };
        if !(temperature.is_finite() && temperature >= 0.0) {
            return misfit("temperature", "a finite number of at least 0", temperature);
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return misfit("top_p", "a number above 0 and at most 1", top_p);
        }
        Ok(Self { temperature, top_p, rng: ChaCha8Rng::seed_from_u64(seed) })
    }

    /// A token's number.
    pub(super) fn choose(&mut self, logits: &[f32]) -> Result<u32> {
        if let Some(index) = logits.iter().position(|logit| !logit.is_finite()) {
            let value = f64::from(logits[index]);
            return Err(Error::NotFinite { what: "the logits of the next token".into(), index, value });
        }
        let best = first_maximum(logits);
        if self.temperature == 0.0 {
            return Ok(best as u32);
        }
        let top = f64::from(logits[best]);
        let weights = logits.iter().map(|logit| ((f64::from(*logit) - top) / self.temperature).exp());
        let mut ranked: Vec<(usize, f64)> = weights.enumerate().collect();
        // Stable: equal weights stay in the order of the tokens.
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        let total: f64 = ranked.iter().map(|(_, weight)| weight).sum();
        let mut kept = 0.0;
        let nucleus = ranked.iter().position(|(_, weight)| {
            kept += weight;
            kept >= self.top_p * total
        });
        ranked.truncate(nucleus.map_or(ranked.len(), |last| last + 1));
        let mut left = self.rng.random::<f64>() * ranked.iter().map(|(_, weight)| weight).sum::<f64>();
        let drawn = ranked.iter().find(|(_, weight)| {
            left -= weight;
            left < 0.0
        });
        Ok(drawn.map_or(best, |(token, _)| *token) as u32)
    }
}

fn first_maximum(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::assert_refused;

    #[test]
    fn draws_follow_the_probabilities() {
        // exp(z) = 1, 3, 6.
        let logits = [0.0, 3f32.ln(), 6f32.ln()];
        let share = |temperature, top_p| {
            let mut sampler = Sampler::new(temperature, top_p, 5).expect("the settings fit");
            let mut counts = [0.0f64; 3];
            for _ in 0..20_000 {
                counts[sampler.choose(&logits).expect("the logits are finite") as usize] += 1.0 / 20_000.0;
            }
            counts
        };
        for (found, expected) in [
            (share(1.0, 1.0), [0.1, 0.3, 0.6]),
            (share(0.5, 1.0), [1.0 / 46.0, 9.0 / 46.0, 36.0 / 46.0]),
            (share(1.0, 0.7), [0.0, 1.0 / 3.0, 2.0 / 3.0]),
            (share(1.0, 0.6), [0.0, 0.0, 1.0]),
            (share(0.0, 1.0), [0.0, 0.0, 1.0]),
        ] {
            for (found, expected) in found.into_iter().zip(expected) {
                // Five standard deviations of 20,000 draws.
                assert!((found - expected).abs() < 0.018, "drawn {found}, probability {expected}");
            }
        }
    }

    #[test]
    fn ties_take_the_first_and_what_is_no_number_is_refused() {
        let mut greedy = Sampler::new(0.0, 1.0, 0).expect("the settings fit");
        assert_eq!(greedy.choose(&[1.0, 2.0, 2.0]), Ok(1), "the first of equal logits");
        assert_refused(greedy.choose(&[1.0, f32::NAN]), "the logits of the next token: value NaN at index 1");
        assert_refused(Sampler::new(-1.0, 1.0, 0), "temperature");
        assert_refused(Sampler::new(f64::NAN, 1.0, 0), "temperature");
        assert_refused(Sampler::new(1.0, 0.0, 0), "top_p");
    }
}
