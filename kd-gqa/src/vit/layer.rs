//! One layer: attention and feed-forward part, each with its norm and its residual.

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use grouping_core::kernels;
use grouping_core::nn::{Bias, Initializer, Projection};

use super::config::{Activation, VitConfig};
use crate::attention::{GroupedAttention, Hook};
use crate::{LayerNorm, Result};

/// The feed-forward part.
#[derive(Module, Debug)]
pub struct VitMlp {
    /// d_model → mlp_size.
    pub fc1: Projection,
    /// mlp_size → d_model.
    pub fc2: Projection,
    #[module(skip)]
    activation: Activation,
}

impl VitMlp {
    pub(super) fn new(config: &VitConfig, init: &mut Initializer) -> Self {
        let (d_model, mlp_size) = (config.d_model, config.mlp_size);
        let output_std = config.residual_scale() / (mlp_size as f64).sqrt();
        Self {
            fc1: Projection::new([d_model, mlp_size], 1.0 / (d_model as f64).sqrt(), Bias::Zeros, init),
            fc2: Projection::new([mlp_size, d_model], output_std, Bias::Zeros, init),
            activation: config.activation,
        }
    }

    pub(super) fn with_projections(activation: Activation, fc1: Projection, fc2: Projection) -> Self {
        Self { fc1, fc2, activation }
    }

    /// `residual + mlp(x)`, all `[.., d_model]`.
    pub fn forward_onto<const D: usize>(&self, residual: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
        let hidden = self.fc1.forward(x);
        let hidden = match self.activation {
            Activation::Gelu => kernels::gelu(hidden),
            Activation::Relu => activation::relu(hidden),
        };
        self.fc2.forward_onto(residual, hidden)
    }
}

/// A layer of a [`Vit`](super::Vit).
#[derive(Module, Debug)]
pub struct VitLayer {
    /// Before the attention, or after its sum.
    pub norm1: LayerNorm,
    /// The attention.
    pub attention: GroupedAttention,
    /// Before the feed-forward part, or after its sum.
    pub norm2: LayerNorm,
    /// The feed-forward part.
    pub mlp: VitMlp,
    pub(super) norm_first: bool,
}

impl VitLayer {
    pub(super) fn new(config: &VitConfig, layer_idx: usize, init: &mut Initializer) -> Result<Self> {
        Ok(Self {
            norm1: LayerNorm::new(config.d_model, config.norm_eps, init),
            attention: config.attention(layer_idx)?.init_with(init)?,
            norm2: LayerNorm::new(config.d_model, config.norm_eps, init),
            mlp: VitMlp::new(config, init),
            norm_first: config.norm_first,
        })
    }

    /// The first half: `x [batch, tokens, d_model]` → the same shape.
    pub(super) fn attend(&self, x: Tensor<3>, layer_idx: usize, hook: Hook<'_>) -> Result<Tensor<3>> {
        if self.norm_first {
            let normed = self.norm1.forward(x.clone());
            self.attention.forward_onto(x, normed, layer_idx, hook)
        } else {
            Ok(self.norm1.forward(self.attention.forward_onto(x.clone(), x, layer_idx, hook)?))
        }
    }

    /// The first half of the first token alone: `x [batch, tokens, d_model]` → `[batch, 1, d_model]`.
    pub(super) fn attend_first(&self, x: Tensor<3>) -> Result<Tensor<3>> {
        let first = x.clone().narrow(1, 0, 1);
        if self.norm_first {
            self.attention.forward_rows_onto(first, self.norm1.forward(x))
        } else {
            Ok(self.norm1.forward(self.attention.forward_rows_onto(first, x)?))
        }
    }

    /// The second half, for any rows `x [.., d_model]` of the residual stream.
    pub(super) fn feed_forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if self.norm_first {
            let normed = self.norm2.forward(x.clone());
            self.mlp.forward_onto(x, normed)
        } else {
            self.norm2.forward(self.mlp.forward_onto(x.clone(), x))
        }
    }
}
