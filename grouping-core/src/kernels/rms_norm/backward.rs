//! RMSNorm as a fused operation: its passes on the CPU backend.

use super::cpu;
use crate::kernels::FusedOp;
use crate::kernels::buffer::{CpuTensor, contiguous, tensor_like, values};
use crate::simd::Level;

/// See [`rms_norm`](super::rms_norm).
#[derive(Clone, Debug)]
pub(super) struct RmsNorm {
    pub(super) eps: f32,
}

impl FusedOp<2> for RmsNorm {
    /// `x` and `weight`.
    type Saved = [CpuTensor; 2];

    fn forward(&self, inputs: [CpuTensor; 2]) -> (CpuTensor, Self::Saved) {
        let [x, weight] = inputs.map(contiguous);
        let y = cpu::forward(Level::detect(), values(&x), values(&weight), self.eps);
        (tensor_like(y, &x), [x, weight])
    }

    fn backward(&self, [x, weight]: Self::Saved, grad: CpuTensor, _: [bool; 2]) -> [Option<CpuTensor>; 2] {
        let mut grad = contiguous(grad);
        let (x, w) = (values(&x), values(&weight));
        let weight_grad = cpu::backward(Level::detect(), x, w, self.eps, grad.storage_mut());
        [Some(grad), Some(tensor_like(weight_grad, &weight))]
    }
}
