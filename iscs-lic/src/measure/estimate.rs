//! The rate by the likelihoods that a model gives its symbols: what `eval_model --entropy-estimation` calls bits a pixel. Real strings take
//! more: their tables have 64 scales, whole counts, and an end.
//!
//! A symbol s of a conditional Gaussian has Φ((½ − |s|)/σ) − Φ((−½ − |s|)/σ), σ at least 0.11; one of the factorised prior has
//! F(m + s + ½) − F(m + s − ½); both at least 1e-9.

use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::codec::StringTrace;
use crate::coder::{FactorizedPrior, normal_interval};

const LEAST_LIKELIHOOD: f64 = 1e-9;
const LEAST_SCALE: f64 = 0.11;

/// What likelihoods need of a model.
#[derive(Debug)]
pub struct Estimate {
    prior: FactorizedPrior,
}

impl Estimate {
    /// Of a checkpoint.
    ///
    /// # Errors
    /// When the parameters of its factorised prior do not fit each other.
    pub fn new(checkpoint: &Checkpoint) -> Result<Self> {
        Ok(Self { prior: checkpoint.factorized_prior()? })
    }

    /// Bits of all strings.
    pub fn bits(&self, strings: &[StringTrace]) -> f64 {
        strings.iter().map(|string| self.bits_of(string)).sum()
    }

    fn bits_of(&self, string: &StringTrace) -> f64 {
        self.symbol_bits(string).sum()
    }

    /// Bits of each symbol of a string, in the order in which it is coded.
    pub fn symbol_bits<'a>(&'a self, string: &'a StringTrace) -> impl Iterator<Item = f64> + 'a {
        let likelihood = |i: usize| {
            let symbol = string.symbols[i];
            match string.scales.get(i) {
                Some(&scale) => {
                    let (symbol, scale) = (f64::from(symbol).abs(), f64::from(scale).max(LEAST_SCALE));
                    normal_interval((-0.5 - symbol) / scale, (0.5 - symbol) / scale)
                }
                None => self.prior.likelihood(usize::from(string.rows[i]), symbol),
            }
        };
        (0..string.symbols.len()).map(move |i| -likelihood(i).max(LEAST_LIKELIHOOD).log2())
    }
}
