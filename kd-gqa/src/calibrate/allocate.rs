//! An allocation from the key norms of calibration images, as training would have made it.

use burn::tensor::Device;

use super::vit::BATCH;
use crate::allocation::{AllocationState, Method, Phase};
use crate::evaluate::each_batch;
use crate::inference::attend_allocated;
use crate::vit::Vit;
use crate::{Error, Result};
use grouping_core::image::{LabelledImage, Preparation};

/// Lets `state` see the key norms of `vit` over images, 100 at a time, as in the steps of an epoch of training; the groups that it then has
/// are those that stay where it is frozen at inference. `done` is told how many images are done.
///
/// # Errors
/// [`Error::Setting`](grouping_core::Error::Setting) for a window of DGQA that the images do not fill; those of reading images, of the model and of the allocation.
pub fn allocate_vit(
    vit: &Vit,
    images: &[LabelledImage],
    preparation: &Preparation,
    device: &Device,
    mut state: AllocationState,
    done: impl FnMut(usize),
) -> Result<AllocationState> {
    let (method, window, n_batches) =
        (state.config().method, state.config().window, images.len().div_ceil(BATCH));
    if matches!(method, Method::DgqaDiff | Method::DgqaEma) && window >= n_batches {
        let expected = format!("fewer batches than the {n_batches} of {BATCH} calibration images");
        return Err(Error::setting("window", expected, window));
    }
    let run = |step, batch| {
        let phase = Phase::Training { step };
        vit.forward_hooked(batch, &mut |call| attend_allocated(&mut state, phase, call)).map(drop)
    };
    each_batch(images, preparation, BATCH, device, run, done)?;
    Ok(state)
}
