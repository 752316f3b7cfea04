//! From a checkpoint, in whatever dialect, to a model.

use std::path::Path;

use burn::tensor::Device;

use super::config::{Activation, VitConfig};
use super::model::Vit;
use super::weights::Weights;
use crate::checkpoint::{self, Checkpoint, VitTensors};
use crate::{Error, Result};

impl Weights for VitTensors<'_> {
    fn path(&self) -> &Path {
        self.source()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        Self::shape(self, name).map(<[usize]>::to_vec)
    }

    fn values(&self, name: &str) -> Result<Vec<f32>> {
        Ok(self.tensor(name)?.values)
    }
}

/// The vision transformer of a checkpoint, with its groups, for square images.
///
/// # Errors
/// [`Error::Format`] for a checkpoint of another kind, or whose positions are of no square image; those of reading tensors.
pub fn read_vit(checkpoint: &Checkpoint, device: &Device) -> Result<Vit> {
    let tensors = checkpoint.vit()?;
    let layout = tensors.layout();
    let n_patches = layout.n_positions - usize::from(layout.has_class_token);
    let side = n_patches.isqrt();
    if side * side != n_patches {
        let expected = "positions of a square grid of patches";
        return Err(Error::format(checkpoint.path(), "positions", expected, n_patches));
    }
    let image_size = layout.patch_size.map(|patch| patch * side);
    let activation = match layout.activation {
        checkpoint::Activation::Relu => Activation::Relu,
        checkpoint::Activation::Gelu => Activation::Gelu,
    };
    let has_bias = tensors.shape("layers.0.attention.query.bias").is_some();
    let config = VitConfig::new(
        image_size,
        layout.patch_size,
        layout.hidden_size,
        layout.n_layers,
        layout.n_heads,
        layout.mlp_size,
    )
    .with_n_classes(layout.n_classes)
    .with_n_channels(layout.n_channels)
    .with_groups(Some(layout.groups.clone()))
    .with_head_dim(Some(layout.head_dim))
    .with_attention_bias(has_bias)
    .with_norm_first(layout.norm_first)
    .with_final_norm(layout.has_final_norm)
    .with_activation(activation)
    .with_norm_eps(layout.norm_eps)
    .with_class_token(layout.has_class_token);
    config.load(&tensors, device)
}
