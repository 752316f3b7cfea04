//! From a checkpoint, in whatever dialect, or from tensors by neutral names, to a model, and back to such tensors.
//!
//! Neutral names are the paths of the model's parameters; weights of products are stored `[out, in]`, as checkpoints do.

use burn::tensor::Device;
use grouping_core::files::source::{NamedTensors, TensorSource};
use grouping_core::nn::weights::{Layout, collect, load_from};

use super::config::VitConfig;
use super::model::Vit;
use crate::Result;
use crate::checkpoint::{Checkpoint, VitTensors};

/// The vision transformer of a checkpoint, with its groups.
///
/// # Errors
/// Those of [`Checkpoint::vit`], and of reading tensors.
pub fn read_vit(checkpoint: &Checkpoint, device: &Device) -> Result<Vit> {
    let tensors = checkpoint.vit()?;
    VitConfig::of(&tensors).load(&tensors, device)
}

impl VitConfig {
    /// The configuration of a checkpoint's model.
    pub fn of(tensors: &VitTensors<'_>) -> Self {
        let (checkpoint, shape) = (tensors.checkpoint(), tensors.shape());
        let (d_model, n_layers, n_heads) =
            (checkpoint.hidden_size(), checkpoint.n_layers(), checkpoint.n_heads());
        Self::new(shape.image_size, shape.patch_size, d_model, n_layers, n_heads, shape.mlp_size)
            .with_n_classes(shape.n_classes)
            .with_n_channels(shape.n_channels)
            .with_groups(Some(checkpoint.groups().to_vec()))
            .with_head_dim(Some(checkpoint.head_dim()))
            .with_attention_bias(checkpoint.has_attention_biases())
            .with_qk_norm(checkpoint.has_qk_norm())
            .with_norm_first(shape.norm_first)
            .with_final_norm(shape.final_norm)
            .with_activation(shape.activation)
            .with_norm_eps(shape.norm_eps)
            .with_class_token(shape.class_token)
    }

    /// A model whose parameters are those of `source`, on `device`.
    ///
    /// # Errors
    /// As [`check`](Self::check), and [`Error::Core`](crate::Error::Core) where a tensor is missing or has another shape.
    pub fn load(&self, source: &dyn TensorSource, device: &Device) -> Result<Vit> {
        Ok(load_from(self.init(0, device)?, source, Layout::Checkpoint)?)
    }
}

impl Vit {
    /// All parameters by neutral names, `[out, in]` for products.
    pub fn tensors(&self) -> NamedTensors {
        collect(self, Layout::Checkpoint)
    }
}
