//! How many query heads each key/value head gets, from the norms of the keys: KDGQA and DGQA (Khan et al. 2024, arXiv 2408.08454, §3).
//!
//! `n_g` or `m_g` is the norm of the keys of head g over a batch ([`summed_key_norms`]). KDGQA: `n̂ = (n − min n)/(max n − min n)`,
//! `a_g = n̂_g·H/Σn̂`, at every forward pass. DGQA follows the norms through training and allocates once a window of W steps, by
//! `|m − m'|` with `m'` the norms when the window began (Diff), or by an exponential mean of `m` (EMA).
//!
//! Three fidelities, never mixed:
//! - [`Fidelity::Official`]: what the released code computes, bit for bit ([`Lanes`], [`Mt19937`]).
//! - [`Fidelity::Paper`]: the method as the text has it. Where it is silent, rounding and repairs are as in the released code.
//! - [`Fidelity::Robust`]: ours; see below.
//!
//! Where the released code differs from the text:
//! - *DGQA-EMA has no moving average.* Its cache holds no average but `(cache + m)/W`, and at evaluation the last batch's norms; β = 0.9
//!   weighs the *new* value. With W = 300 the cache is about m/300, so that both variants allocate by the plain norm.
//! - *DGQA-Diff compares with that same cache.* With W = 300 this is the plain norm, with W = 1 a running sum, with W = 2 noise; at
//!   evaluation it is the difference of two batches.
//! - *Evaluation changes the model.* Each forward pass allocates anew from its own batch and overwrites the cache, so that a sample's
//!   logits depend on the samples beside it and on the batches before, and training goes on from another cache.
//! - `step` counts within an epoch, so that the window starts again with every epoch.
//! - The allocation in use is not saved with the weights.
//!
//! What the formulas themselves imply: KDGQA gives the head of least norm no query, unless a repair does; with G = 2 all queries
//! go to one head; a spread of 2 % gives the same groups as one of 30 %. The released code does not end on some inputs;
//! here norms without finite shares are [`Error::Allocation`] of official and paper.
//!
//! Robust: at least one query a head, largest remainder by `r^temperature`, equal groups where the norms say nothing, norms averaged over
//! the batch ([`mean_key_norms`]), a true mean `e ← 0.9·e + 0.1·m`, and at inference the groups stay as they are.
//! On key norms of little spread it gives equal groups: that is the answer, not a failure.
//!
//! Shapes: norms and caches `[G]` a layer; keys `[batch, G, tokens, head_dim]`.

mod key_norms;
mod lane_sum;
mod mt19937;
mod norms_file;
mod official;
mod robust;
mod state;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use key_norms::{mean_key_norms, sample_key_norms, summed_key_norms};
pub use lane_sum::{Lanes, lane_sum};
pub use mt19937::Mt19937;
pub use norms_file::{MAX_HEADS, NormsFile};
pub use state::{AllocationState, Phase};

use crate::{Error, Groups, Result};

/// A rule from key norms to groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Method {
    /// Equal groups, whatever the norms
    #[default]
    Uniform,
    /// Key-driven: by the norms of this forward pass
    Kdgqa,
    /// Dynamic key-driven: by the change of the norms over a window
    DgqaDiff,
    /// Dynamic key-driven: by an exponential mean of the norms
    DgqaEma,
}

/// Whose arithmetic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fidelity {
    /// The released code's, bit for bit
    Official,
    /// The formulas as they are written
    Paper,
    /// Ours: no head without a query, frozen at inference
    #[default]
    Robust,
}

/// A method and its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub struct AllocationConfig {
    /// The rule.
    pub method: Method,
    /// Whose arithmetic.
    pub fidelity: Fidelity,
    /// Training steps between two allocations of DGQA; the paper's is 300.
    pub window: usize,
    /// Exponent τ of the robust shares; 0 gives equal groups, large values favour the greatest norm.
    pub temperature: f64,
    /// The processor that official and paper sum as.
    pub lanes: Lanes,
    /// Seed of the repairs of official and paper DGQA.
    pub seed: u64,
}

impl Default for AllocationConfig {
    fn default() -> Self {
        Self::new(Method::default())
    }
}

impl AllocationConfig {
    /// The method in its robust form, with the paper's window.
    pub fn new(method: Method) -> Self {
        let (fidelity, lanes) = (Fidelity::default(), Lanes::default());
        Self { method, fidelity, window: 300, temperature: 1.0, lanes, seed: 0 }
    }

    /// With another arithmetic.
    pub fn with_fidelity(mut self, fidelity: Fidelity) -> Self {
        self.fidelity = fidelity;
        self
    }

    /// With another window.
    pub fn with_window(mut self, window: usize) -> Self {
        self.window = window;
        self
    }

    /// With another exponent of the robust shares.
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// With the sums of another processor.
    pub fn with_lanes(mut self, lanes: Lanes) -> Self {
        self.lanes = lanes;
        self
    }

    /// With another seed.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Whether groups stay as they are at inference, whatever the keys.
    pub fn is_frozen_at_inference(&self) -> bool {
        match (self.method, self.fidelity) {
            (Method::Uniform, _) | (_, Fidelity::Robust) => true,
            (Method::Kdgqa, _) => false,
            (_, fidelity) => fidelity == Fidelity::Paper,
        }
    }

    /// Whether the settings are in range.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) for a window of 0, or a temperature that is negative or not finite.
    pub fn check(&self) -> Result<()> {
        if self.window == 0 {
            return Err(Error::setting("window", "at least 1", self.window));
        }
        if !self.temperature.is_finite() || self.temperature < 0.0 {
            return Err(Error::setting("temperature", "a number of at least 0", self.temperature));
        }
        Ok(())
    }
}

/// The groups of one layer, from its key norms `[G]` and what is remembered of earlier ones `[G]` (zeros where nothing is).
///
/// KDGQA has no use for `cache`; official and paper DGQA take random numbers from `draws`, which runs on from layer to layer.
///
/// # Errors
/// [`Error::Allocation`] for norms without finite shares (not in robust), and for negative norms; [`Error::Setting`](grouping_core::Error::Setting) for
/// settings out of range; [`Error::Groups`] for `norms` and `cache` of other lengths than 1 to `n_heads`; [`Error::Indivisible`] for
/// uniform groups where G does not divide H.
///
/// ```
/// use kd_gqa::allocation::{AllocationConfig, Fidelity, Method, Mt19937, allocate};
/// let (norms, cache, draws) = ([10., 11., 12.], [0.; 3], &mut Mt19937::new(0));
/// let official = AllocationConfig::new(Method::Kdgqa).with_fidelity(Fidelity::Official);
/// assert_eq!(allocate(&official, 6, &norms, &cache, draws)?.sizes(), [0, 2, 4]);
/// let error = allocate(&official, 6, &[-1., 11., 12.], &cache, draws).unwrap_err().to_string();
/// assert!(error.contains("kdgqa: expected"), "a negative norm: {error}");
/// let robust = AllocationConfig::new(Method::Kdgqa);
/// assert_eq!(allocate(&robust, 6, &norms, &cache, draws)?.sizes(), [2, 2, 2]);
/// assert_eq!(allocate(&robust.with_temperature(9.), 6, &norms, &cache, draws)?.sizes(), [1, 2, 3]);
/// # Ok::<(), kd_gqa::Error>(())
/// ```
pub fn allocate(
    config: &AllocationConfig,
    n_heads: usize,
    norms: &[f32],
    cache: &[f32],
    draws: &mut Mt19937,
) -> Result<Groups> {
    config.check()?;
    check_norms(config.method, n_heads, norms)?;
    if cache.len() != norms.len() {
        let (expected, found) = (vec![norms.len()], vec![cache.len()]);
        return Err(grouping_core::Error::Shape { what: "cached key norms".into(), expected, found }.into());
    }
    let AllocationConfig { method, fidelity, temperature, lanes, .. } = *config;
    let sizes = match (method, fidelity) {
        (Method::Uniform, Fidelity::Robust) => return Groups::balanced(n_heads, norms.len()),
        (Method::Uniform, _) => return Groups::uniform(n_heads, norms.len()),
        (_, Fidelity::Robust) => {
            let importance = match method {
                Method::DgqaDiff => robust::differences(norms, cache),
                Method::DgqaEma => robust::averages(norms, cache),
                _ => norms.iter().copied().map(f64::from).collect(),
            };
            return robust::share(&importance, n_heads, temperature);
        }
        (Method::Kdgqa, _) => official::kdgqa(norms, n_heads, lanes)?,
        (Method::DgqaDiff, _) => {
            official::dgqa(method, &official::differences(norms, cache), n_heads, lanes, draws)?
        }
        (Method::DgqaEma, _) => {
            official::dgqa(method, &official::averages(norms, cache), n_heads, lanes, draws)?
        }
    };
    Groups::new(sizes, n_heads)
}

fn check_norms(method: Method, n_heads: usize, norms: &[f32]) -> Result<()> {
    if norms.is_empty() || norms.len() > n_heads {
        return Err(Error::setting("norms", format!("1 to {n_heads} of a layer"), norms.len()));
    }
    match norms.iter().find(|&&n| n < 0.0) {
        None => Ok(()),
        Some(n) => Err(Error::Allocation {
            method: method.name(),
            expected: "norms of at least 0".into(),
            found: n.to_string(),
        }),
    }
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Kdgqa => "kdgqa",
            Self::DgqaDiff => "dgqa-diff",
            Self::DgqaEma => "dgqa-ema",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Fidelity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Official => "official",
            Self::Paper => "paper",
            Self::Robust => "robust",
        })
    }
}
