//! SwiGLU as a fused operation: its passes on the CPU backend.

use super::cpu;
use crate::kernels::FusedOp;
use crate::kernels::buffer::{CpuTensor, contiguous, tensor_like, values};
use crate::simd::Level;

/// See [`swiglu`](super::swiglu).
#[derive(Clone, Debug)]
pub(super) struct Swiglu;

impl FusedOp<2> for Swiglu {
    /// `gate` and `up`.
    type Saved = [CpuTensor; 2];

    fn forward(&self, inputs: [CpuTensor; 2]) -> (CpuTensor, Self::Saved) {
        let [gate, up] = inputs.map(contiguous);
        let y = cpu::forward(Level::detect(), values(&gate), values(&up));
        (tensor_like(y, &gate), [gate, up])
    }

    fn backward(&self, [gate, up]: Self::Saved, grad: CpuTensor, _: [bool; 2]) -> [Option<CpuTensor>; 2] {
        let mut grad = contiguous(grad);
        let up_grad = cpu::backward(Level::detect(), values(&gate), values(&up), grad.storage_mut());
        [Some(grad), Some(tensor_like(up_grad, &up))]
    }
}
