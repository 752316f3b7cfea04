//! How far a conversion has come, and what it did.

use crate::Groups;

/// How far a conversion has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is counted.
    pub stage: Stage,
    /// How many are done.
    pub done: usize,
    /// All of them.
    pub total: usize,
}

/// The parts of a conversion, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Tensors and layers of attention are written; twice where an allocation sees images, which need the pooled model first.
    Tensors,
    /// The pooled model is run on the images of an allocation.
    Images,
}

/// What was done.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConvertReport {
    /// Each layer.
    pub layers: Vec<LayerReport>,
    /// Parameters before and after.
    pub n_parameters: [usize; 2],
    /// Alignment was asked for, and keys were not turned: the model norms its query and key heads (QK-norm).
    pub keys_unaligned: bool,
    /// The source had a saved allocation, which was of other heads than those written, and is not in the output.
    pub allocation_dropped: bool,
}

/// What was done to one layer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LayerReport {
    /// Groups of the source.
    pub before: Groups,
    /// Key/value heads of the source in each pooled head.
    pub members: Vec<Vec<usize>>,
    /// Groups after pooling.
    pub pooled: Groups,
    /// Groups as they are written, which have more key/value heads where some are repeated.
    pub written: Groups,
}
