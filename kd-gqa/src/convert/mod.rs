//! Conversion of multi-head attention, or of grouped attention, into attention of fewer key/value heads (paper §3.1; Ainslie et al. 2023, §2.1).
//!
//! Three independent choices: which heads share one (`grouping`), whether they are turned towards each other before ([`Align`]), and how
//! one comes out of several ([`Pool`]). Every query head keeps reading the group that its own key went into: where heads are regrouped, rows of
//! `W_Q` and columns of `W_O` are permuted together, which changes nothing by itself.
//!
//! Tensors are read and written piece by piece; at most the heads of one layer's keys or values, in `f32`, are in memory.
//!
//! Deviations from the released code: it takes timm's names only, drops the final norm and the head, and where the number of key/value
//! heads does not divide that of the heads it drops the last heads without a word; here that is refused or, when asked for, done with unequal groups.

mod apply;
mod calibrated;
mod distances;
mod plan;
mod pool;
mod search;
mod write;

use std::path::Path;
use std::sync::Arc;

use grouping_core::files::output::Existing;

pub use distances::weight_distances;
pub use pool::{Pool, PoolWeights};
pub use search::{Distances, EXHAUSTIVE, GroupSizes, similar_groups};

use crate::allocation::AllocationState;
use crate::calibrate::Calibration;
use crate::checkpoint::Checkpoint;
use crate::{Error, Groups, Result};
use calibrated::Calibrated;
use plan::LayerPlan;
use write::Conversion;

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

/// Whether heads are turned towards each other before they are pooled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[non_exhaustive]
pub enum Align {
    /// Heads as they are
    #[default]
    None,
    /// Rotations by orthogonal Procrustes, which need calibration data
    Procrustes,
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
    pub(crate) allocation: Option<AllocationState>,
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

    /// Groups of a method over the key/value heads that the source has, all of which stay as they are; its state is saved with them.
    pub fn with_allocation(mut self, state: AllocationState) -> Self {
        self.allocation = Some(state);
        self
    }

    /// Seed of the search for groups of more than [`EXHAUSTIVE`] heads.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// How far a conversion has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Tensors and layers of attention that are written.
    pub done: usize,
    /// All of them.
    pub total: usize,
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

/// Whether `source` can be converted so, and the result written to `out`, before any work is done.
///
/// # Errors
/// [`Error::Option`] and [`Error::Indivisible`] for what does not fit the checkpoint, [`Error::Core`] for an output that is there.
pub fn check(source: &Checkpoint, config: &ConvertConfig, out: &Path, existing: Existing) -> Result<()> {
    let sizes = source.groups().iter().try_for_each(|groups| plan::check(config, groups));
    sizes.and_then(|()| write::check_place(source.dialect(), out, existing))
}

/// Converts `source` and writes the result to `out` in the source's dialect: a `.safetensors` file for a vision transformer, a folder
/// for the Llama family, a `.bin` file for llama2.c.
///
/// ```
/// use grouping_core::files::output::Existing;
/// use kd_gqa::checkpoint::Checkpoint;
/// use kd_gqa::convert::{ConvertConfig, Grouping, convert};
/// # use grouping_core::files::tensor_file::{Dtype, Planned, TensorWriter};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("vit.safetensors");
/// # let shapes = [("blocks.0.attn.qkv.weight", vec![24, 8]), ("blocks.0.attn.proj.weight", vec![8, 8])];
/// # let planned = shapes.map(|(name, shape)| Planned::new(name, shape, Dtype::F32));
/// # let file = std::fs::File::create(&path)?;
/// # let writer = TensorWriter::safetensors(file, &path, &planned, &Default::default())?;
/// # for planned in &planned {
/// #     writer.write(&planned.name, &vec![0.5; planned.shape.iter().product()])?;
/// # }
/// # writer.finish()?;
///
/// let source = Checkpoint::open_with_heads(&path, Some(4))?;
/// let config = ConvertConfig::new(2).with_grouping(Grouping::Similarity);
/// let out = folder.path().join("grouped.safetensors");
/// let report = convert(&source, &config, &out, Existing::Refuse, |_| {})?;
/// assert_eq!(report.layers[0].written.sizes(), [2, 2]);
/// assert_eq!(Checkpoint::open(&out)?.attention(0)?.key.n_rows(), 4, "two heads of two");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Option`] and [`Error::Indivisible`] for what does not fit the checkpoint, [`Error::Core`] for an output that is there,
/// [`Error::Format`] and [`Error::Core`] for values that are not finite, and from the system.
pub fn convert(
    source: &Checkpoint,
    config: &ConvertConfig,
    out: &Path,
    existing: Existing,
    mut progress: impl FnMut(Progress),
) -> Result<ConvertReport> {
    if config.align != Align::None && config.calibration.is_none() {
        let expected = "calibration data for `procrustes` (rotations follow from activations)";
        return Err(Error::option("--align", expected, "none"));
    }
    let n_layers = source.n_layers();
    let plan = |(layer, groups)| {
        let calibrated = Calibrated::of(config, source, layer)?;
        LayerPlan::new(config, groups, layer, n_layers, calibrated.as_ref(), || {
            weight_distances(source, layer)
        })
    };
    let mut plans = source.groups().iter().enumerate().map(plan).collect::<Result<Vec<_>>>()?;
    if let Some(state) = &config.allocation {
        plan::allocate(&mut plans, state)?;
    }
    plan::shape(&mut plans, config.form)?;
    let saved = AllocationState::of(source)?;
    let allocation = config.allocation.as_ref().or(saved.as_ref());
    let conversion = Conversion { source, plans: &plans, allocation, progress: &mut progress };
    let is_weight = |name: &str| !name.starts_with("freqs_");
    let planned = conversion.planned();
    let planned = planned.iter().flat_map(|(_, planned)| planned).filter(|planned| is_weight(&planned.name));
    let n_after = planned.map(|planned| planned.shape.iter().product::<usize>()).sum();
    let allocation_dropped = saved.is_some() && conversion.allocation().is_none();
    conversion.write(out, existing)?;
    let layers = plans.into_iter().zip(source.groups()).map(|(plan, before)| LayerReport {
        before: before.clone(),
        members: plan.members,
        pooled: plan.groups,
        written: plan.written,
    });
    Ok(ConvertReport {
        layers: layers.collect(),
        n_parameters: [source.n_parameters(), n_after],
        allocation_dropped,
        keys_unaligned: config.align != Align::None && source.has_qk_norm(),
    })
}
