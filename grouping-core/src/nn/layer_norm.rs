//! Layer normalisation, as a module.

use super::init::Initializer;
use crate::kernels;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

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
    /// A norm over `d` values.
    pub fn new(d: usize, eps: f64, init: &mut Initializer) -> Self {
        Self { weight: init.constant([d], 1.0), bias: init.constant([d], 0.0), eps }
    }

    /// `x [.., d]` → the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        kernels::layer_norm(x, self.weight.val(), self.bias.val(), self.eps)
    }
}
