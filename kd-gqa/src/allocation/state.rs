//! Allocations through training and inference: the groups in use at each layer and what is remembered to change them, to be saved with a checkpoint.
//!
//! What [`AllocationState::observe`] does with the key norms m of a forward pass (W = window):
//!
//! | | training | inference |
//! |---|---|---|
//! | official KDGQA, paper KDGQA | allocates | allocates |
//! | official DGQA | where step mod W = 0: allocates from m and the cache, `cache ← (cache + m)/W` | allocates from m and the cache, `cache ← m` |
//! | paper DGQA-Diff | where step mod W = 0: allocates by \|m − cache\| (not the first time), `cache ← m` | keeps its groups |
//! | paper DGQA-EMA | where step mod W = 0: `e ← 0.9·m + 0.1·e`, allocates by e | keeps its groups |
//! | robust KDGQA | `e ← 0.9·e + 0.1·m`, allocates by e | keeps its groups |
//! | robust DGQA-EMA | as KDGQA, but allocates once in W steps | keeps its groups |
//! | robust DGQA-Diff | once in W steps: allocates by \|m − m'\|, m' those of the time before | keeps its groups |
//! | uniform | keeps its groups | keeps its groups |
//!
//! The released code's step counts within an epoch; robust counts what it sees. Its norms are the sum over the batch, ours the
//! mean. Robust leaves out norms that are not finite. Before the first allocation groups are those of the model, or equal; or differ by one where G does
//! not divide H (the released code fails there, unless it allocates at once).

use grouping_core::stats::running::{ExponentialMean, WindowDifference};
use serde::{Deserialize, Serialize};

use super::{AllocationConfig, Fidelity, Method, Mt19937, allocate, check_norms, official, robust};
use crate::checkpoint::Checkpoint;
use crate::{Error, Groups, Result};

/// What a forward pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// To learn from.
    Training {
        /// Batches before this one in the epoch.
        step: usize,
    },
    /// To use or to measure.
    Inference,
}

/// The groups of every layer and how they go on.
///
/// ```
/// use kd_gqa::allocation::{AllocationConfig, AllocationState, Method, Phase};
/// let config = AllocationConfig::new(Method::DgqaEma).with_window(2).with_temperature(4.);
/// let mut state = AllocationState::new(config, 6, &[3, 3])?; // two layers
/// assert_eq!(state.groups(0).sizes(), [2, 2, 2]);
/// assert_eq!(state.observe(0, Phase::Training { step: 0 }, &[1., 2., 4.])?.sizes(), [1, 1, 4]);
/// assert_eq!(state.observe(0, Phase::Training { step: 1 }, &[9., 2., 4.])?.sizes(), [1, 1, 4]);
/// assert_eq!(state.observe(0, Phase::Inference, &[1., 1., 1.])?.sizes(), [1, 1, 4], "frozen");
/// let saved = serde_json::to_string(&state).unwrap();
/// assert_eq!(serde_json::from_str::<AllocationState>(&saved).unwrap(), state);
/// # Ok::<(), kd_gqa::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Saved")]
pub struct AllocationState {
    config: AllocationConfig,
    n_heads: usize,
    layers: Vec<LayerState>,
    /// Where the repairs draw from; absent where nothing is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    draws: Option<Mt19937>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerState {
    groups: Groups,
    memory: Memory,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Memory {
    Nothing,
    /// Official: the cache, from zeros. Paper: the last window's norms or the average; empty before the first.
    Cache(Vec<f32>),
    Mean {
        mean: ExponentialMean,
        /// Position in the window.
        position: usize,
    },
    Difference(WindowDifference),
}

impl AllocationState {
    /// Equal groups everywhere: `n_heads` query heads, and as many key/value heads as `n_kv_heads` says for each layer.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) for settings out of range, [`Error::Indivisible`] for a layer with no key/value head or more than heads, and
    /// for uniform groups where they do not divide the heads.
    pub fn new(config: AllocationConfig, n_heads: usize, n_kv_heads: &[usize]) -> Result<Self> {
        config.check()?;
        let layer = |&n_kv_heads: &usize| {
            let uniform = config.method == Method::Uniform && config.fidelity != Fidelity::Robust;
            let groups = if uniform { Groups::uniform } else { Groups::balanced };
            Ok(LayerState { groups: groups(n_heads, n_kv_heads)?, memory: Memory::new(&config, n_kv_heads)? })
        };
        let layers = n_kv_heads.iter().map(layer).collect::<Result<_>>()?;
        let draws = draws(&config).then(|| Mt19937::new(config.seed));
        Ok(Self { config, n_heads, layers, draws })
    }

    /// The groups of a model, until the method changes them; of uniform groups, equal ones over the same heads.
    ///
    /// # Errors
    /// As [`Self::new`]; [`Error::Groups`] for no layer, and layers of unlike numbers of query heads.
    pub fn of_groups(config: AllocationConfig, groups: &[Groups]) -> Result<Self> {
        let n_heads = groups.first().map_or(0, Groups::n_heads);
        if let Some(odd) = groups.iter().find(|groups| groups.n_heads() != n_heads) {
            return Err(Error::Groups { sizes: odd.sizes().to_vec(), n_heads });
        }
        let n_kv_heads: Vec<usize> = groups.iter().map(Groups::n_kv_heads).collect();
        let mut state = Self::new(config, n_heads, &n_kv_heads)?;
        if state.config.method != Method::Uniform {
            state.layers.iter_mut().zip(groups).for_each(|(layer, groups)| layer.groups = groups.clone());
        }
        Ok(state)
    }

    /// The state that was saved with a checkpoint, if one was.
    ///
    /// # Errors
    /// [`Error::FileField`](grouping_core::Error::FileField) for what is no such state, or one of other groups than the checkpoint's.
    pub fn of(checkpoint: &Checkpoint) -> Result<Option<Self>> {
        let Some((path, saved)) = checkpoint.saved_allocation() else { return Ok(None) };
        let state = Self::deserialize(saved)
            .map_err(|e| Error::format(path, "allocation", "the state of an allocation", e))?;
        let (groups, of_state) = (checkpoint.groups(), state.all_groups());
        if of_state != groups {
            let sizes =
                |groups: &[Groups]| format!("{:?}", groups.iter().map(Groups::sizes).collect::<Vec<_>>());
            let expected = format!("the groups of its layers, {}", sizes(groups));
            return Err(Error::format(path, "allocation", expected, sizes(&of_state)));
        }
        Ok(Some(state))
    }

    /// The method and its settings.
    pub fn config(&self) -> &AllocationConfig {
        &self.config
    }

    /// Number of layers.
    pub fn n_layers(&self) -> usize {
        self.layers.len()
    }

    /// Number of query heads.
    pub fn n_heads(&self) -> usize {
        self.n_heads
    }

    /// The groups in use at each layer.
    pub fn all_groups(&self) -> Vec<Groups> {
        self.layers.iter().map(|layer| layer.groups.clone()).collect()
    }

    /// The groups in use at a layer.
    ///
    /// # Panics
    /// When there is no such layer.
    pub fn groups(&self, layer: usize) -> &Groups {
        &self.layers[layer].groups
    }

    /// Whether the state is of such heads, layer by layer.
    ///
    /// # Errors
    /// [`Error::Setting`](grouping_core::Error::Setting) where it is of others.
    pub fn check_heads(&self, n_heads: usize, n_kv_heads: &[usize]) -> Result<()> {
        let own: Vec<usize> = self.layers.iter().map(|layer| layer.groups.n_kv_heads()).collect();
        if self.n_heads == n_heads && own == n_kv_heads {
            return Ok(());
        }
        let say = |n_heads: usize, n_kv_heads: &[usize]| {
            format!("{n_heads} heads over {n_kv_heads:?} key/value heads by layer")
        };
        Err(Error::setting("allocation", say(n_heads, n_kv_heads), say(self.n_heads, &own)))
    }

    /// Whether [`Self::observe`] looks at the norms in this phase; where it does not they need not be computed, and may be empty.
    pub fn needs_norms(&self, phase: Phase) -> bool {
        match (self.config.method, self.config.fidelity, phase) {
            (_, _, Phase::Inference) => !self.config.is_frozen_at_inference(),
            (Method::Uniform, ..) => false,
            (Method::Kdgqa, ..) | (_, Fidelity::Robust, _) => true,
            (_, _, Phase::Training { step }) => step.is_multiple_of(self.config.window),
        }
    }

    /// Takes in the key norms `[G]` of a forward pass at a layer, before its attention, and gives the groups to use. Official and
    /// paper: [`summed_key_norms`](super::summed_key_norms); robust: [`mean_key_norms`](super::mean_key_norms).
    ///
    /// # Errors
    /// Those of [`allocate`]; nothing is changed then.
    ///
    /// # Panics
    /// When there is no such layer.
    pub fn observe(&mut self, layer: usize, phase: Phase, norms: &[f32]) -> Result<&Groups> {
        if self.needs_norms(phase) {
            let n_kv_heads = self.layers[layer].groups.n_kv_heads();
            if norms.len() != n_kv_heads {
                let (expected, found) = (vec![n_kv_heads], vec![norms.len()]);
                return Err(grouping_core::Error::Shape { what: "key norms".into(), expected, found }.into());
            }
            check_norms(self.config.method, self.n_heads, norms)?;
            match self.config.fidelity {
                Fidelity::Robust => self.observe_robust(layer, norms)?,
                fidelity => self.observe_as_written(layer, fidelity, phase, norms)?,
            }
        }
        Ok(&self.layers[layer].groups)
    }

    fn observe_as_written(
        &mut self,
        layer: usize,
        fidelity: Fidelity,
        phase: Phase,
        norms: &[f32],
    ) -> Result<()> {
        let LayerState { groups, memory } = &mut self.layers[layer];
        let kept = match memory {
            Memory::Cache(cache) => cache.clone(),
            _ => vec![],
        };
        let first = kept.is_empty();
        if let Some(norm) = norms.iter().find(|norm| !norm.is_finite()) {
            let (method, found) = (self.config.method.name(), norm.to_string());
            return Err(Error::Allocation { method, expected: "finite norms".into(), found });
        }
        let before = if first { vec![0f32; norms.len()] } else { kept };
        let diff = self.config.method == Method::DgqaDiff;
        if !(fidelity == Fidelity::Paper && diff && first) {
            // KDGQA draws nothing.
            let mut none = None;
            let draws = self.draws.as_mut().unwrap_or_else(|| none.insert(Mt19937::new(self.config.seed)));
            *groups = allocate(&self.config, self.n_heads, norms, &before, draws)?;
        }
        let window = self.config.window as f32;
        let after = match (fidelity, phase) {
            (Fidelity::Official, Phase::Training { .. }) => {
                before.iter().zip(norms).map(|(c, m)| (c + m) / window).collect()
            }
            (Fidelity::Paper, _) if !diff => official::averages(norms, &before),
            _ => norms.to_vec(),
        };
        if let Memory::Cache(cache) = memory {
            *cache = after;
        }
        Ok(())
    }

    fn observe_robust(&mut self, layer: usize, norms: &[f32]) -> Result<()> {
        if norms.iter().any(|norm| !norm.is_finite()) {
            return Ok(());
        }
        let LayerState { groups, memory } = &mut self.layers[layer];
        let norms: Vec<f64> = norms.iter().copied().map(f64::from).collect();
        let importance = match memory {
            Memory::Mean { mean, position } => {
                let mean = mean.push(&norms)?;
                let due = *position == 0;
                *position = (*position + 1) % window(&self.config);
                due.then(|| mean.to_vec())
            }
            Memory::Difference(change) => change.push(&norms)?,
            Memory::Nothing | Memory::Cache(_) => None,
        };
        if let Some(importance) = importance {
            *groups = robust::share(&importance, self.n_heads, self.config.temperature)?;
        }
        Ok(())
    }
}

/// Steps from one allocation to the next: robust KDGQA follows every one.
fn window(config: &AllocationConfig) -> usize {
    if config.method == Method::Kdgqa { 1 } else { config.window }
}

fn draws(config: &AllocationConfig) -> bool {
    matches!(config.method, Method::DgqaDiff | Method::DgqaEma) && config.fidelity != Fidelity::Robust
}

impl Memory {
    fn new(config: &AllocationConfig, n_kv_heads: usize) -> Result<Self> {
        Ok(match (config.method, config.fidelity) {
            (Method::Uniform, _) => Self::Nothing,
            (Method::DgqaDiff, Fidelity::Robust) => Self::Difference(WindowDifference::new(config.window)?),
            (_, Fidelity::Robust) => Self::Mean { mean: ExponentialMean::new(robust::DECAY)?, position: 0 },
            (Method::Kdgqa, _) => Self::Nothing,
            (_, Fidelity::Official) => Self::Cache(vec![0.0; n_kv_heads]),
            _ => Self::Cache(vec![]),
        })
    }

    /// Whether what was read is of this layer.
    fn fits(&self, fresh: &Self, n_kv_heads: usize) -> bool {
        let fits = |n: usize| n == 0 || n == n_kv_heads;
        std::mem::discriminant(self) == std::mem::discriminant(fresh)
            && match self {
                Self::Cache(cache) => fits(cache.len()) && cache.iter().all(|c| c.is_finite() && *c >= 0.0),
                Self::Mean { mean, .. } => fits(mean.get().map_or(0, <[f64]>::len)),
                Self::Difference(change) => {
                    let same = matches!(fresh, Self::Difference(fresh) if fresh.window() == change.window());
                    same && fits(change.start().map_or(0, <[f64]>::len))
                }
                Self::Nothing => true,
            }
    }
}

/// What was read, not yet checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    config: AllocationConfig,
    n_heads: usize,
    layers: Vec<LayerState>,
    #[serde(default)]
    draws: Option<Mt19937>,
}

impl TryFrom<Saved> for AllocationState {
    type Error = Error;
    fn try_from(saved: Saved) -> Result<Self> {
        let Saved { config, n_heads, layers, draws: drawn } = saved;
        let n_kv_heads: Vec<usize> = layers.iter().map(|layer| layer.groups.n_kv_heads()).collect();
        let fresh = Self::new(config, n_heads, &n_kv_heads)?;
        for (layer, fresh) in layers.iter().zip(&fresh.layers) {
            Groups::new(layer.groups.sizes().to_vec(), n_heads)?;
            if !layer.memory.fits(&fresh.memory, layer.groups.n_kv_heads()) {
                let expected = format!("that of {:?} for {} norms", fresh.memory, fresh.groups.n_kv_heads());
                return Err(Error::setting("memory", expected, format!("{:?}", layer.memory)));
            }
        }
        if drawn.is_some() != fresh.draws.is_some() {
            let say = |some: bool| if some { "a state of MT19937" } else { "none" };
            return Err(Error::setting("draws", say(fresh.draws.is_some()), say(drawn.is_some())));
        }
        Ok(Self { layers, draws: drawn, ..fresh })
    }
}
