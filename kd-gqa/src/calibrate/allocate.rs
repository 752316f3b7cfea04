//! An allocation from the key norms of calibration images, as training would have made it.

use burn::tensor::Device;

use crate::Result;
use crate::allocation::{AllocationState, Phase};
use crate::evaluate::batch_tensor;
use crate::images::{LabelledImage, Preparation};
use crate::inference::attend_allocated;
use crate::vit::Vit;

/// Lets `state` see the key norms of `vit` over images, 100 at a time, as in an epoch of training; the groups that it then has are those
/// that stay at inference where it is robust. `done` is told how many images are done.
///
/// # Errors
/// Those of reading images, of the model and of the allocation.
pub fn allocate_vit(
    vit: &Vit,
    images: &[LabelledImage],
    preparation: &Preparation,
    device: &Device,
    mut state: AllocationState,
    mut done: impl FnMut(usize),
) -> Result<AllocationState> {
    const BATCH: usize = 100;
    for (step, batch) in images.chunks(BATCH).enumerate() {
        let tensor = batch_tensor(batch, preparation, device)?;
        let phase = Phase::Training { step };
        vit.forward_hooked(tensor, &mut |call| attend_allocated(&mut state, phase, call))?;
        done(step * BATCH + batch.len());
    }
    Ok(state)
}
