//! Calibration of a vision transformer on images.

use burn::tensor::{Device, Tensor};
use grouping_core::image::{LabelledImage, Preparation};

use super::Calibration;
use crate::Result;
use crate::attention::AttentionCall;
use crate::evaluate::{each_batch, values};
use crate::vit::Vit;

impl Calibration {
    /// Takes in the keys and values of one attention, and does it.
    ///
    /// # Errors
    /// Those of reading the tensors and of the attention.
    ///
    /// # Panics
    /// If the attention is of no layer of these groups.
    pub fn attend(&mut self, call: AttentionCall<'_>) -> Result<Tensor<4>> {
        self.add(call.layer_idx, &rows(&call.k)?, &rows(&call.v)?);
        call.run()
    }
}

/// Images that are run at once.
pub const BATCH: usize = 100;

/// The keys and values of a vision transformer over images, 100 at a time; `done` is told how many are done.
///
/// # Errors
/// Those of reading images and of the model.
pub fn calibrate_vit(
    vit: &Vit,
    images: &[LabelledImage],
    preparation: &Preparation,
    device: &Device,
    done: impl FnMut(usize),
) -> Result<Calibration> {
    let head_dim = vit.layers.first().map_or(0, |layer| layer.attention.head_dim());
    let mut calibration = Calibration::new(&vit.groups(), head_dim);
    let run = |_, batch| vit.forward_hooked(batch, &mut |call| calibration.attend(call)).map(drop);
    each_batch(images, preparation, BATCH, device, run, done)?;
    Ok(calibration)
}

/// `[batch, G, seq, head_dim]` → `[batch · seq, G · head_dim]`.
pub(super) fn rows(heads: &Tensor<4>) -> Result<Vec<f32>> {
    values(heads.clone().swap_dims(1, 2))
}
