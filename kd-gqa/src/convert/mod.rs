//! Conversion of multi-head attention, or of grouped attention, into attention of fewer key/value heads (paper §3.1; Ainslie et al. 2023, §2.1).
//!
//! Three independent choices: which heads share one (`grouping`), whether they are turned towards each other before ([`Align`]), and how
//! one comes out of several ([`Pool`]). Every query head keeps reading the group that its own key went into: where heads are regrouped, rows of
//! `W_Q` and columns of `W_O` are permuted together, which changes nothing by itself.
//!
//! After that an allocation ([`Allocate`]) may share out the query heads anew among the pooled key/value heads.
//!
//! Tensors are read and written piece by piece; at most the heads of one layer's keys or values, in `f32`, are in memory.
//!
//! Deviations from the released code: it takes timm's names only, drops the final norm and the head, and where the number of key/value
//! heads does not divide that of the heads it drops the last heads without a word; here that is refused or, when asked for, done with unequal groups.

mod allocate;
mod apply;
mod calibrated;
mod config;
mod distances;
mod plan;
mod pool;
mod report;
mod search;
mod sink;
mod write;

use std::path::Path;

use grouping_core::files::output::Existing;

pub use calibrated::Align;
pub use config::{Allocate, ConvertConfig, Form, Grouping};
pub use distances::weight_distances;
pub use pool::{Pool, PoolWeights};
pub use report::{ConvertReport, LayerReport, Progress, Stage};
pub use search::{Distances, EXHAUSTIVE, GroupSizes, similar_groups};

use crate::allocation::AllocationState;
use crate::checkpoint::Checkpoint;
use crate::{Error, Result};
use calibrated::Calibrated;
use plan::LayerPlan;
use write::Conversion;

/// Whether `source` can be converted so, and the result written to `out`, before any work is done.
///
/// # Errors
/// [`Error::Setting`](grouping_core::Error::Setting) for what does not fit the checkpoint, [`Error::Exists`](grouping_core::Error::Exists) for an output
/// that is there.
pub fn check(source: &Checkpoint, config: &ConvertConfig, out: &Path, existing: Existing) -> Result<()> {
    source.groups().iter().try_for_each(|groups| plan::check(config, groups))?;
    allocate::check(config, source)?;
    write::check_out(source.dialect(), out, existing)
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
/// [`Error::Setting`](grouping_core::Error::Setting) for what does not fit the checkpoint, [`Error::Exists`](grouping_core::Error::Exists) for an output
/// that is there, [`Error::FileField`](grouping_core::Error::FileField) for values that are not finite, and those of the system.
pub fn convert(
    source: &Checkpoint,
    config: &ConvertConfig,
    out: &Path,
    existing: Existing,
    mut progress: impl FnMut(Progress),
) -> Result<ConvertReport> {
    check(source, config, out, existing)?;
    let mut plans = plans(source, config)?;
    plan::shape(&mut plans, config.form)?;
    // A saved allocation goes on where its heads and groups stay.
    let saved = AllocationState::of(source)?;
    let kept = saved.as_ref().filter(|state| plan::is_kept(&plans, state));
    let allocation_dropped = saved.is_some() && kept.is_none();
    let state = match &config.allocation {
        None => None,
        Some(allocate) => Some(allocate::state(allocate, source, &plans, out, &mut progress)?),
    };
    if let Some(state) = &state {
        plan::allocate(&mut plans, state)?;
    }
    let allocation = state.as_ref().or(kept);
    let conversion = Conversion { source, plans: &plans, allocation, progress: &mut progress };
    let n_after = conversion.n_parameters();
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

/// What happens to each layer, in the grouped form.
fn plans(source: &Checkpoint, config: &ConvertConfig) -> Result<Vec<LayerPlan>> {
    let calibrated = match &config.calibration {
        Some(calibration) => Some(Calibrated::layers(calibration, source, config.align)?),
        None if config.align != Align::None => {
            let expected = "calibration data for `procrustes` (rotations follow from activations)";
            return Err(Error::setting("align", expected, "none"));
        }
        None => None,
    };
    let plan = |(layer, groups)| {
        let calibrated = calibrated.as_ref().map(|layers| &layers[layer]);
        let distances = || weight_distances(source, layer);
        LayerPlan::new(config, groups, layer, source.n_layers(), calibrated, distances)
    };
    source.groups().iter().enumerate().map(plan).collect()
}
