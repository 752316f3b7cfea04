//! What a plan is to be: its objective, its score, its core, and how channels become slices.

use std::fmt;

use crate::channels::{Core, Preset};

/// What a plan is made for. It decides the grouping and the schedule that are not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Objective {
    /// Few bits: correlated channels stand in different slices, and each slice sees all before it.
    Rate,
    /// A good picture from the first bytes: small slices of what matters first.
    #[default]
    Progressive,
    /// A short chain of slices: even ones, and all auxiliary slices side by side.
    Parallelism,
}

/// How channels are shared out among slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grouping {
    /// In order, slices of one width (Minnen & Singh 2020). The core is as many slices as hold it.
    Even,
    /// In order, the core in slices that double, the auxiliary channels in even ones (after ELIC, He et al. 2022).
    Uneven,
    /// Correlated channels in different slices, which can see each other: a channel goes to the slice where its greatest `|ρ|` is least.
    CorrelationSpread,
    /// Auxiliary channels that resemble the same channel of the core in one slice, as far as its width allows.
    CorrelationCluster,
    /// The slices of the model itself, and its own dependencies; channels are ordered inside of each.
    Model,
}

/// Which earlier slices a slice is conditioned on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schedule {
    /// All.
    Serial,
    /// Core slices: all; auxiliary slices: those of the core, so that they are decoded side by side.
    CoreParallel,
}

/// The widths of slices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Slicing {
    /// Even slices: ten. Others: three for the core, four for the auxiliary channels. Fewer where channels are fewer.
    #[default]
    Default,
    /// So many slices. Half of them, rounded down, are the core's, unless they are even.
    Count(usize),
    /// These widths. The core grows to the edge of a slice.
    Widths(Vec<usize>),
}

/// What a plan is to be.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlanConfig {
    /// The score.
    pub preset: Preset,
    /// The rule for the size of the core.
    pub core: Core,
    /// What the plan is made for.
    pub objective: Objective,
    /// The grouping; absent, that of the objective.
    pub grouping: Option<Grouping>,
    /// The schedule; absent, that of the objective.
    pub schedule: Option<Schedule>,
    /// The widths of slices.
    pub slicing: Slicing,
}

impl Objective {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rate, Self::Progressive, Self::Parallelism];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Progressive => "progressive",
            Self::Parallelism => "parallelism",
        }
    }

    /// The grouping of a plan that names none.
    pub fn grouping(self) -> Grouping {
        match self {
            Self::Rate => Grouping::CorrelationSpread,
            Self::Progressive => Grouping::Uneven,
            Self::Parallelism => Grouping::Even,
        }
    }

    /// The schedule of a plan that names none.
    pub fn schedule(self) -> Schedule {
        match self {
            Self::Rate => Schedule::Serial,
            Self::Progressive | Self::Parallelism => Schedule::CoreParallel,
        }
    }
}

impl Grouping {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Even, Self::Uneven, Self::CorrelationSpread, Self::CorrelationCluster, Self::Model];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Uneven => "uneven",
            Self::CorrelationSpread => "correlation-spread",
            Self::CorrelationCluster => "correlation-cluster",
            Self::Model => "model",
        }
    }
}

impl Schedule {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::CoreParallel => "core-parallel",
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Grouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PlanConfig {
    /// By this score, a quarter of the channels as the core, made for progressive quality.
    pub fn new(preset: Preset) -> Self {
        Self {
            preset,
            core: Core::default(),
            objective: Objective::default(),
            grouping: None,
            schedule: None,
            slicing: Slicing::Default,
        }
    }

    /// With this rule for the size of the core.
    #[must_use]
    pub fn with_core(self, core: Core) -> Self {
        Self { core, ..self }
    }

    /// Made for this objective.
    #[must_use]
    pub fn with_objective(self, objective: Objective) -> Self {
        Self { objective, ..self }
    }

    /// With this grouping.
    #[must_use]
    pub fn with_grouping(self, grouping: Option<Grouping>) -> Self {
        Self { grouping, ..self }
    }

    /// With this schedule.
    #[must_use]
    pub fn with_schedule(self, schedule: Option<Schedule>) -> Self {
        Self { schedule, ..self }
    }

    /// With slices of these widths.
    #[must_use]
    pub fn with_slicing(self, slicing: Slicing) -> Self {
        Self { slicing, ..self }
    }
}
