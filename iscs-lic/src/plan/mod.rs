//! Plans: in which order latent channels stand, in which slices they are coded, and which slices wait for which.
//!
//! A [`Plan`] has an order π (position p holds channel π(p)), slices of consecutive positions, and for each slice the earlier ones that it is
//! conditioned on. The first slices hold the salient core, the others the auxiliary channels. [`plan`] makes one from a model's parameters;
//! [`reorder`] folds π into the weights, and [`prune`] leaves only the first channels.
//!
//! Order, grouping and graph serve three objectives that pull apart: rate (correlated channels in slices that see each other), progressive
//! quality (what matters first), and parallelism (a short chain of slices). A plan says which one it was made for, and [`PlanReport`] shows
//! what it means for all three.
//!
//! Deviation: the text of the paper (ISCS, arXiv 2509.16853) could not be read, and with it no rule for slices or their graph. Its abstract
//! has a salient core, auxiliary channels, a deterministic order and slices that are decoded side by side; the rules are this crate's.

mod carrier;
mod config;
mod constants;
mod cost;
mod dependencies;
mod file;
mod fold;
mod make;
mod members;
mod prune;
mod report;
mod scores;
mod sizes;
mod slabs;

use crate::checkpoint::Checkpoint;
use crate::{Error, Result};

pub use carrier::Carrier;
pub use config::{Grouping, Objective, PlanConfig, Schedule, Slicing};
pub use cost::{Cost, multiply_adds};
pub use dependencies::{CriticalPath, critical_path};
pub use fold::{reorder, undo};
pub use make::{Planned, plan, plan_by};
pub use prune::{Constants, PruneConfig, Pruned, core_channels, prune};
pub use report::{Parallelism, PlanReport, Rate, SliceReport};
pub use scores::Scores;

/// The most slices: an `.iscs` file numbers them by six bits.
pub const MAX_SLICES: usize = 64;

/// Which model a plan is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedModel {
    /// The architecture's name.
    pub architecture: String,
    /// M, the number of channels.
    pub m: usize,
    /// [`Checkpoint::fingerprint`].
    pub fingerprint: [u8; 16],
}

/// An order of a model's latent channels, their slices, and what each slice is conditioned on.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    model: PlannedModel,
    objective: Objective,
    preset: String,
    core: String,
    grouping: Grouping,
    n_core: usize,
    order: Vec<usize>,
    inverse: Vec<usize>,
    slices: Vec<usize>,
    dependencies: Vec<Vec<usize>>,
    scores: Vec<f64>,
}

impl Plan {
    /// The model that it is for.
    pub fn model(&self) -> &PlannedModel {
        &self.model
    }

    /// What it was made for.
    pub fn objective(&self) -> Objective {
        self.objective
    }

    /// The name of the score that it follows.
    pub fn preset(&self) -> &str {
        &self.preset
    }

    /// The rule by which the core was sized.
    pub fn core(&self) -> &str {
        &self.core
    }

    /// How channels were shared out among slices.
    pub fn grouping(&self) -> Grouping {
        self.grouping
    }

    /// How many channels are core: those of the first slices.
    pub fn n_core(&self) -> usize {
        self.n_core
    }

    /// How many slices hold the core.
    pub fn n_core_slices(&self) -> usize {
        let ends = self.slices.iter().scan(0, |end, n| {
            *end += n;
            Some(*end)
        });
        ends.take_while(|end| *end <= self.n_core).count()
    }

    /// π: the channel of the model at each position, `[M]`.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// π⁻¹: the position of each channel, `[M]`.
    pub fn inverse(&self) -> &[usize] {
        &self.inverse
    }

    /// Channels of each slice, in the order of decoding; they sum to M.
    pub fn slices(&self) -> &[usize] {
        &self.slices
    }

    /// For each slice the slices before it that it is conditioned on, ascending.
    pub fn dependencies(&self) -> &[Vec<usize>] {
        &self.dependencies
    }

    /// The score of each channel of the model, `[M]`.
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// Eight bytes by which a coded picture names its plan: of BLAKE3 over the text `iscs-plan 1`, the model's fingerprint, and, as
    /// little-endian u32, M, the order, the number of slices, their channels, and for each slice the number of its dependencies and these.
    /// Never zeros, which say that there is none.
    ///
    /// Two plans by which a picture is coded alike have the same, whatever they were made for.
    pub fn fingerprint(&self) -> [u8; 8] {
        let mut hash = blake3::Hasher::new();
        hash.update(b"iscs-plan 1").update(&self.model.fingerprint);
        let mut put = |n: usize| _ = hash.update(&(n as u32).to_le_bytes());
        put(self.order.len());
        self.order.iter().copied().for_each(&mut put);
        put(self.slices.len());
        self.slices.iter().copied().for_each(&mut put);
        for earlier in &self.dependencies {
            put(earlier.len());
            earlier.iter().copied().for_each(&mut put);
        }
        let mut out = [0; 8];
        out.copy_from_slice(&hash.finalize().as_bytes()[..8]);
        if out == [0; 8] { [0, 0, 0, 0, 0, 0, 0, 1] } else { out }
    }

    /// Refuses a checkpoint that is not the one which the plan is for.
    ///
    /// # Errors
    /// [`Error::Container`] with the field that differs.
    pub fn check_model(&self, checkpoint: &Checkpoint) -> Result<()> {
        let PlannedModel { architecture, m, fingerprint } = &self.model;
        let of_another = |field: &str, expected: String, found: String| {
            Err(Error::container(field, format!("{expected}, of the model that is given"), found))
        };
        let name = checkpoint.architecture().name();
        if architecture != name {
            return of_another("model.architecture", name.into(), architecture.clone());
        }
        if *m != checkpoint.m() {
            return of_another("model.channels", checkpoint.m().to_string(), m.to_string());
        }
        if *fingerprint != checkpoint.fingerprint() {
            return of_another("model.fingerprint", hex(&checkpoint.fingerprint()), hex(fingerprint));
        }
        Ok(())
    }
}

/// The inverse of a permutation.
fn inverted(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    for (position, &channel) in order.iter().enumerate() {
        inverse[channel] = position;
    }
    inverse
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
