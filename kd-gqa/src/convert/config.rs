//! What to make of a checkpoint: which heads share one, how several become one, and in which form they are written.

use std::sync::Arc;

#[cfg(feature = "model")]
use grouping_core::image::{LabelledImage, Preparation};

use super::calibrated::Align;
use super::pool::Pool;
use super::search::GroupSizes;
use crate::allocation::{AllocationConfig, AllocationState};
use crate::calibrate::Calibration;

/// Which heads share a key/value head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum Grouping {
    /// Heads that follow each other
    #[default]
    Neighbour,
    /// Heads whose keys and values are alike
    Similarity,
}

/// In which form groups are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// One key/value head a group.
    #[default]
    Grouped,
    /// One key/value head a query head, repeated, for programs that have multi-head attention only.
    Expanded,
    /// Key/value heads repeated until all have equally many query heads, for programs that have one ratio only.
    Uniform,
}

/// Where the groups of query heads over the key/value heads that come out are from; the method's state is saved with them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Allocate {
    /// This state's, over the key/value heads that the source has, all of which stay as they are.
    State(AllocationState),
    /// A method's that goes on at inference: as pooled, until it sees norms. For vision transformers.
    Method(AllocationConfig),
    /// A method's that has seen the key norms of the converted vision transformer over images, as in an epoch of training.
    #[cfg(feature = "model")]
    Images {
        /// The method.
        method: AllocationConfig,
        /// What the converted model is run on, 100 at a time.
        images: Vec<LabelledImage>,
        /// How they are prepared.
        preparation: Preparation,
    },
}

impl From<AllocationState> for Allocate {
    fn from(state: AllocationState) -> Self {
        Self::State(state)
    }
}

impl From<AllocationConfig> for Allocate {
    fn from(method: AllocationConfig) -> Self {
        Self::Method(method)
    }
}

/// What to make of a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvertConfig {
    pub(crate) n_kv_heads: usize,
    pub(crate) grouping: Grouping,
    pub(crate) align: Align,
    pub(crate) pool: Pool,
    pub(crate) sizes: GroupSizes,
    pub(crate) form: Form,
    pub(crate) seed: u64,
    pub(crate) calibration: Option<Arc<Calibration>>,
    pub(crate) allocation: Option<Allocate>,
}

impl ConvertConfig {
    /// Neighbours, not aligned, their mean, groups of one size.
    pub fn new(n_kv_heads: usize) -> Self {
        Self {
            n_kv_heads,
            grouping: Grouping::Neighbour,
            align: Align::None,
            pool: Pool::Mean,
            sizes: GroupSizes::Equal,
            form: Form::Grouped,
            seed: 0,
            calibration: None,
            allocation: None,
        }
    }

    /// Which heads share a key/value head.
    pub fn with_grouping(mut self, grouping: Grouping) -> Self {
        self.grouping = grouping;
        self
    }

    /// Whether heads are turned towards each other.
    pub fn with_align(mut self, align: Align) -> Self {
        self.align = align;
        self
    }

    /// How the heads of a group become one.
    pub fn with_pool(mut self, pool: Pool) -> Self {
        self.pool = pool;
        self
    }

    /// How large groups may be.
    pub fn with_sizes(mut self, sizes: GroupSizes) -> Self {
        self.sizes = sizes;
        self
    }

    /// In which form groups are written.
    pub fn with_form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// Activations on calibration data, for similarity, alignment and weights.
    pub fn with_calibration(mut self, calibration: Arc<Calibration>) -> Self {
        self.calibration = Some(calibration);
        self
    }

    /// How query heads are shared out among the key/value heads that come out. In the grouped form only.
    pub fn with_allocation(mut self, allocate: impl Into<Allocate>) -> Self {
        self.allocation = Some(allocate.into());
        self
    }

    /// Seed of the search for groups of more than [`EXHAUSTIVE`](super::EXHAUSTIVE) heads.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}
