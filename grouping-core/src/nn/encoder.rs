//! A layer of a transformer's encoder (Vaswani et al. 2017, "Attention Is All You Need", §3.1), generic over its attention.
//!
//! With the norms first, `x + attention(norm(x))`, then `x + mlp(norm(x))` (Dosovitskiy et al. 2021, Eq. 2 and 3); with the norms after,
//! `norm(x + attention(x))`, then `norm(x + mlp(x))`. The feed-forward part is `mlp(x) = f(x·W₁ + b₁)·W₂ + b₂`.
//!
//! Shapes: `x [batch, tokens, d_model]` → the same shape.

use burn::module::Module;
use burn::tensor::{Tensor, activation};

use super::init::Initializer;
use super::layer_norm::LayerNorm;
use super::projection::{Bias, Projection};
use crate::{Activation, kernels};

/// The feed-forward part of an [`EncoderBlock`].
#[derive(Module, Debug)]
pub struct FeedForward {
    /// d_model → hidden.
    pub fc1: Projection,
    /// hidden → d_model.
    pub fc2: Projection,
    #[module(skip)]
    activation: Activation,
}

impl FeedForward {
    /// A part whose weights are normal: the first with variance 1/d_model, the second with variance `output_scale²`/hidden; biases are 0.
    pub fn new(
        [d_model, hidden]: [usize; 2],
        output_scale: f64,
        activation: Activation,
        init: &mut Initializer,
    ) -> Self {
        let output_std = output_scale / (hidden as f64).sqrt();
        Self {
            fc1: Projection::new([d_model, hidden], 1.0 / (d_model as f64).sqrt(), Bias::Zeros, init),
            fc2: Projection::new([hidden, d_model], output_std, Bias::Zeros, init),
            activation,
        }
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

/// Attention and feed-forward part, each with its norm and its residual.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::Activation;
/// use grouping_core::nn::{Bias, EncoderBlock, FeedForward, Initializer, LayerNorm, Projection};
///
/// let init = &mut Initializer::new(7, &Device::flex());
/// let block = EncoderBlock {
///     norm1: LayerNorm::new(8, 1e-6, init),
///     // In the place of an attention: a mean over the tokens, projected.
///     attention: Projection::new([8, 8], 0.1, Bias::None, init),
///     norm2: LayerNorm::new(8, 1e-6, init),
///     mlp: FeedForward::new([8, 32], 1.0, Activation::Gelu, init),
///     norm_first: true,
/// };
/// let x = Tensor::<3>::ones([2, 5, 8], init.device());
/// let attended = block.attend_with(x.clone(), x, |attention, residual, x| {
///     let mean = x.mean_dim(1).expand([2, 5, 8]);
///     Ok::<_, std::convert::Infallible>(attention.forward_onto(residual, mean))
/// })?;
/// assert_eq!(block.feed_forward(attended).dims(), [2, 5, 8]);
/// # Ok::<(), std::convert::Infallible>(())
/// ```
#[derive(Module, Debug)]
pub struct EncoderBlock<A> {
    /// Before the attention, or after its sum.
    pub norm1: LayerNorm,
    /// The attention.
    pub attention: A,
    /// Before the feed-forward part, or after its sum.
    pub norm2: LayerNorm,
    /// The feed-forward part.
    pub mlp: FeedForward,
    /// The norms stand before attention and feed-forward part, not after their sums.
    pub norm_first: bool,
}

impl<A: Module> EncoderBlock<A> {
    /// The first half: `attend(attention, residual, x)` returns `residual + attention(x)`, of the shape of `residual`.
    ///
    /// `residual` holds those rows of `x [batch, tokens, d_model]` that are wanted: all, or the first alone.
    ///
    /// # Errors
    /// Those of `attend`.
    pub fn attend_with<E>(
        &self,
        residual: Tensor<3>,
        x: Tensor<3>,
        attend: impl FnOnce(&A, Tensor<3>, Tensor<3>) -> Result<Tensor<3>, E>,
    ) -> Result<Tensor<3>, E> {
        if self.norm_first {
            attend(&self.attention, residual, self.norm1.forward(x))
        } else {
            Ok(self.norm1.forward(attend(&self.attention, residual, x)?))
        }
    }

    /// The second half, for any rows `x [.., d_model]` of the residual stream.
    pub fn feed_forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        if self.norm_first {
            let normed = self.norm2.forward(x.clone());
            self.mlp.forward_onto(x, normed)
        } else {
            self.norm2.forward(self.mlp.forward_onto(x.clone(), x))
        }
    }
}
