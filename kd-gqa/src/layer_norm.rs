//! Layer normalisation, as a module.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use grouping_core::kernels;
use grouping_core::nn::Initializer;

/// Layer normalisation over the last axis (Ba, Kiros, Hinton 2016).
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[d]`, ones at the start.
    pub weight: Param<Tensor<1>>,
    /// `[d]`, zeros at the start.
    pub bias: Param<Tensor<1>>,
    /// ε.
    pub eps: f64,
}

impl LayerNorm {
    pub(crate) fn new(d: usize, eps: f64, init: &mut Initializer) -> Self {
        Self { weight: init.constant([d], 1.0), bias: init.constant([d], 0.0), eps }
    }

    /// `x [.., d]` → the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        kernels::layer_norm(x, self.weight.val(), self.bias.val(), self.eps)
    }
}
