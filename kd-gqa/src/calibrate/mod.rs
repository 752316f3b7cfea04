//! What activations on calibration data say about heads: how far apart they are, how to turn them towards each other, how strong they are,
//! and how many query heads each gets by a method of [`allocation`](crate::allocation).

mod align;
mod allocate;
mod decoder;
mod gram;

pub use align::{Maps, align, distances};
pub use allocate::allocate_vit;
pub use decoder::calibrate_decoder;
pub use gram::HeadGram;

use burn::tensor::{Device, Tensor};

use crate::attention::AttentionCall;
use crate::evaluate::{each_batch, values};
use crate::vit::Vit;
use crate::{Groups, Result};
use grouping_core::image::{LabelledImage, Preparation};

/// The keys and values of every layer over all calibration data, by their inner products.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    layers: Vec<LayerActivations>,
}

/// The keys and values of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerActivations {
    /// Keys as they are projected, biases included, before rotary positions.
    pub keys: HeadGram,
    /// Values as they are projected, biases included.
    pub values: HeadGram,
}

impl Calibration {
    /// Of no data yet, for layers of these groups.
    pub fn new(groups: &[Groups], head_dim: usize) -> Self {
        let gram = |groups: &Groups| HeadGram::new(groups.n_kv_heads(), head_dim);
        let layers = groups.iter().map(|g| LayerActivations { keys: gram(g), values: gram(g) }).collect();
        Self { layers }
    }

    /// All layers in order.
    pub fn layers(&self) -> &[LayerActivations] {
        &self.layers
    }

    /// Takes in the keys and values of one attention, and does it.
    ///
    /// # Errors
    /// Those of reading the tensors and of the attention.
    ///
    /// # Panics
    /// If the attention is of no layer of these groups.
    pub fn attend(&mut self, call: AttentionCall<'_>) -> Result<Tensor<4>> {
        let layer = &mut self.layers[call.layer_idx];
        layer.keys.add(&rows(&call.k)?);
        layer.values.add(&rows(&call.v)?);
        call.run()
    }

    /// Takes in keys and values `[batch, G, seq, head_dim]` of one layer.
    ///
    /// # Errors
    /// Those of reading the tensors.
    pub fn add(&mut self, layer: usize, keys: &Tensor<4>, values: &Tensor<4>) -> Result<()> {
        self.layers[layer].keys.add(&rows(keys)?);
        self.layers[layer].values.add(&rows(values)?);
        Ok(())
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
fn rows(heads: &Tensor<4>) -> Result<Vec<f32>> {
    values(heads.clone().swap_dims(1, 2))
}
