//! Layer normalisation as a fused operation: its passes on the CPU backend.

use super::cpu::{self, Affine};
use crate::kernels::FusedOp;
use crate::kernels::buffer::{CpuTensor, contiguous, tensor_like, values};
use crate::simd::Level;

/// See [`layer_norm`](super::layer_norm).
#[derive(Clone, Debug)]
pub(super) struct LayerNorm {
    pub(super) eps: f32,
}

impl FusedOp<3> for LayerNorm {
    /// `x` and `weight`.
    type Saved = [CpuTensor; 2];

    fn forward(&self, inputs: [CpuTensor; 3]) -> (CpuTensor, Self::Saved) {
        let [x, weight, bias] = inputs.map(contiguous);
        let affine = Affine { weight: values(&weight), bias: values(&bias) };
        (tensor_like(cpu::forward(Level::detect(), values(&x), affine, self.eps), &x), [x, weight])
    }

    fn backward(&self, [x, weight]: Self::Saved, grad: CpuTensor, _: [bool; 3]) -> [Option<CpuTensor>; 3] {
        let mut grad = contiguous(grad);
        let (x, w) = (values(&x), values(&weight));
        let (weight_grad, bias_grad) = cpu::backward(Level::detect(), x, w, self.eps, grad.storage_mut());
        [grad, tensor_like(weight_grad, &weight), tensor_like(bias_grad, &weight)].map(Some)
    }
}
