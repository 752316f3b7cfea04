//! The groups of an allocation over the key/value heads that a conversion pools.

use std::path::Path;

use super::config::{Allocate, ConvertConfig, Form};
use super::plan::LayerPlan;
use super::report::Progress;
#[cfg(feature = "model")]
use super::{report::Stage, write::Conversion};
use crate::allocation::{AllocationState, Method};
use crate::checkpoint::Checkpoint;
use crate::{Error, Groups, Result};

/// Whether the allocation asked for fits `source` and the rest of the configuration.
///
/// # Errors
/// [`Error::Setting`](grouping_core::Error::Setting) where it does not.
pub(super) fn check(config: &ConvertConfig, source: &Checkpoint) -> Result<()> {
    let Some(allocate) = &config.allocation else { return Ok(()) };
    if config.form != Form::Grouped {
        let found = format!("{:?}", config.form).to_lowercase();
        return Err(Error::setting("form", "grouped, under an allocation", found));
    }
    let method = match allocate {
        Allocate::State(_) if source.groups().iter().all(|g| g.n_kv_heads() == config.n_kv_heads) => {
            return Ok(());
        }
        Allocate::State(_) => {
            let expected = "as many key/value heads as there are, under a saved allocation";
            return Err(Error::setting("n_kv_heads", expected, config.n_kv_heads));
        }
        Allocate::Method(method) => method,
        #[cfg(feature = "model")]
        Allocate::Images { method, .. } => method,
    };
    method.check()?;
    if !source.dialect().is_vit() {
        return Err(Error::setting("allocation", "a vision transformer", source.dialect().label()));
    }
    let needs_images = method.is_frozen_at_inference() && method.method != Method::Uniform;
    if needs_images && matches!(allocate, Allocate::Method(_)) {
        let expected = "images for an `allocation` that stays as it is at inference";
        return Err(Error::setting("calibration", expected, "none"));
    }
    Ok(())
}

/// The allocation's state before the first pass at inference. Where it has to see images, the pooled model is written to a temporary
/// folder beside `out` and run.
///
/// # Errors
/// Those of the allocation; with images, those of writing and running the model.
#[cfg_attr(not(feature = "model"), allow(unused_variables, reason = "only images need the pooled model"))]
pub(super) fn state(
    allocate: &Allocate,
    source: &Checkpoint,
    plans: &[LayerPlan],
    out: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<AllocationState> {
    let groups: Vec<Groups> = plans.iter().map(|plan| plan.groups.clone()).collect();
    match allocate {
        Allocate::State(state) => Ok(state.clone()),
        Allocate::Method(method) => AllocationState::of_groups(method.clone(), &groups),
        #[cfg(feature = "model")]
        Allocate::Images { method, images, preparation } => {
            use grouping_core::files::output::Existing;

            let state = AllocationState::of_groups(method.clone(), &groups)?;
            let beside = out.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
            std::fs::create_dir_all(beside).map_err(Error::io(beside, "create"))?;
            let folder = tempfile::tempdir_in(beside).map_err(Error::io(beside, "write to"))?;
            let pooled = folder.path().join("pooled.safetensors");
            Conversion { source, plans, allocation: None, progress: &mut *progress }
                .write(&pooled, Existing::Refuse)?;
            let device = burn::tensor::Device::flex();
            let vit = crate::vit::read_vit(&Checkpoint::open(&pooled)?, &device)?;
            let total = images.len();
            let seen = |done| progress(Progress { stage: Stage::Images, done, total });
            crate::calibrate::allocate_vit(&vit, images, preparation, &device, state, seen)
        }
    }
}
