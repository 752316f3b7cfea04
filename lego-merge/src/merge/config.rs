//! What to merge with.

use regex::Regex;

use super::{BaseMismatch, MergeMethod, RankRule, SavedModules};
use crate::{Error, Result};

/// What to merge with: the method, one weight an adapter, the rank, a factor on the result and the seed; which modules
/// are merged, and which of them otherwise.
#[derive(Debug)]
pub struct MergeConfig {
    pub(super) method: Box<dyn MergeMethod>,
    pub(super) weights: Option<Vec<f64>>,
    pub(super) rank: Option<RankRule>,
    pub(super) lambda: f64,
    pub(super) seed: u64,
    pub(super) base_mismatch: BaseMismatch,
    pub(super) saved_modules: SavedModules,
    pub(super) include: Option<Regex>,
    pub(super) exclude: Option<Regex>,
    overrides: Vec<(Regex, MergeConfig)>,
}

impl MergeConfig {
    /// Weights 1, the method's own rank, λ = 1, seed 0.
    pub fn new(method: impl MergeMethod + 'static) -> Self {
        Self::boxed(Box::new(method))
    }

    pub(super) fn boxed(method: Box<dyn MergeMethod>) -> Self {
        Self {
            method,
            weights: None,
            rank: None,
            lambda: 1.0,
            seed: 0,
            base_mismatch: BaseMismatch::default(),
            saved_modules: SavedModules::default(),
            include: None,
            exclude: None,
            overrides: vec![],
        }
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

    /// Whether adapters that name different base models are merged.
    pub fn with_base_mismatch(mut self, base_mismatch: BaseMismatch) -> Self {
        self.base_mismatch = base_mismatch;
        self
    }

    /// What becomes of modules that several adapters save whole and differ in.
    pub fn with_saved_modules(mut self, saved_modules: SavedModules) -> Self {
        self.saved_modules = saved_modules;
        self
    }

    /// Merges only the modules in whose full names the pattern is found.
    ///
    /// # Errors
    /// [`grouping_core::Error::Setting`] for a pattern that is no regular expression.
    pub fn with_include(mut self, pattern: &str) -> Result<Self> {
        self.include = Some(regex("include", pattern)?);
        Ok(self)
    }

    /// Leaves out the modules in whose full names the pattern is found.
    ///
    /// # Errors
    /// [`grouping_core::Error::Setting`] for a pattern that is no regular expression.
    pub fn with_exclude(mut self, pattern: &str) -> Result<Self> {
        self.exclude = Some(regex("exclude", pattern)?);
        Ok(self)
    }

    /// Merges the modules in whose full names the pattern is found by another configuration: the first that fits, of those
    /// added. Which modules are merged at all is decided by this configuration, not the other.
    ///
    /// # Errors
    /// [`grouping_core::Error::Setting`] for a pattern that is no regular expression.
    pub fn with_override(mut self, pattern: &str, config: MergeConfig) -> Result<Self> {
        self.overrides.push((regex("pattern", pattern)?, config));
        Ok(self)
    }

    /// Whether a module is merged at all.
    pub(super) fn takes(&self, module: &str) -> bool {
        self.include.as_ref().is_none_or(|r| r.is_match(module))
            && !self.exclude.as_ref().is_some_and(|r| r.is_match(module))
    }

    /// The configurations that modules are merged by: this one, then the overrides in their order.
    pub(super) fn rules(&self) -> impl Iterator<Item = &MergeConfig> {
        std::iter::once(self).chain(self.overrides.iter().map(|(_, config)| config))
    }

    /// Position among [`Self::rules`] of the one for a module.
    pub(super) fn rule_of(&self, module: &str) -> usize {
        self.overrides.iter().position(|(r, _)| r.is_match(module)).map_or(0, |i| i + 1)
    }
}

fn regex(option: &'static str, pattern: &str) -> Result<Regex> {
    Regex::new(pattern).map_err(|e| {
        let found = format!("{pattern} ({})", e.to_string().lines().last().unwrap_or_default());
        Error::setting(option, "a regular expression", found)
    })
}
