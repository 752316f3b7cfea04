//! What to merge with.

use super::{MergeMethod, RankRule};

/// What to merge with: the method, one weight an adapter, the rank, a factor on the result and the seed.
pub struct MergeConfig {
    pub(super) method: Box<dyn MergeMethod>,
    pub(super) weights: Option<Vec<f64>>,
    pub(super) rank: Option<RankRule>,
    pub(super) lambda: f64,
    pub(super) seed: u64,
}

impl MergeConfig {
    /// Weights 1, the method's own rank, λ = 1, seed 0.
    pub fn new(method: impl MergeMethod + 'static) -> Self {
        Self::boxed(Box::new(method))
    }

    pub(super) fn boxed(method: Box<dyn MergeMethod>) -> Self {
        Self { method, weights: None, rank: None, lambda: 1.0, seed: 0 }
    }

    /// One weight an adapter; weights may be negative.
    pub fn with_weights(mut self, weights: impl Into<Vec<f64>>) -> Self {
        self.weights = Some(weights.into());
        self
    }

    /// Rank of the result, for methods that take one: a number, or a rule by which each module finds its own.
    pub fn with_rank(mut self, rank: impl Into<RankRule>) -> Self {
        self.rank = Some(rank.into());
        self
    }

    /// A factor on the whole result, λ.
    pub fn with_lambda(mut self, lambda: f64) -> Self {
        self.lambda = lambda;
        self
    }

    /// Seed of every random choice.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}
