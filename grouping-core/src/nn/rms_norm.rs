//! Root-mean-square layer norm (Zhang & Sennrich 2019, Eq. 4): `y = x / √(mean(x²) + ε) · weight`, over the last axis.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::init::Initializer;
use crate::kernels;

/// The norm layer of the Llama architecture.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// `[hidden]`, ones at the start.
    pub weight: Param<Tensor<1>>,
    /// ε.
    pub eps: f64,
}

impl RmsNorm {
    /// A norm over `hidden_size` values.
    pub fn new(hidden_size: usize, eps: f64, init: &mut Initializer) -> Self {
        Self { weight: init.constant([hidden_size], 1.0), eps }
    }

    /// `x [.., hidden]` → the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        kernels::rms_norm(x, self.weight.val(), self.eps)
    }
}
