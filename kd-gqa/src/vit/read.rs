//! From a checkpoint, in whatever dialect, to a model.

use burn::tensor::Device;

use super::model::Vit;
use crate::Result;
use crate::checkpoint::Checkpoint;

/// The vision transformer of a checkpoint, with its groups.
///
/// # Errors
/// Those of [`Checkpoint::vit`], and of reading tensors.
pub fn read_vit(checkpoint: &Checkpoint, device: &Device) -> Result<Vit> {
    let tensors = checkpoint.vit()?;
    tensors.config().load(&tensors, device)
}
