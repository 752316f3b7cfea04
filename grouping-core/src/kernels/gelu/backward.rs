//! GELU as a fused operation: its passes on the CPU backend.

use super::cpu;
use crate::kernels::FusedOp;
use crate::kernels::buffer::{CpuTensor, contiguous, tensor_like, values};
use crate::simd::Level;

/// See [`gelu`](super::gelu).
#[derive(Clone, Debug)]
pub(super) struct Gelu;

impl FusedOp<1> for Gelu {
    type Saved = CpuTensor;

    fn forward(&self, [x]: [CpuTensor; 1]) -> (CpuTensor, CpuTensor) {
        let x = contiguous(x);
        (tensor_like(cpu::forward_copy(Level::detect(), values(&x)), &x), x)
    }

    fn infer(&self, [x]: [CpuTensor; 1]) -> CpuTensor {
        let mut x = contiguous(x);
        if !x.is_unique() {
            return self.forward([x]).0;
        }
        cpu::forward(Level::detect(), x.storage_mut());
        x
    }

    fn backward(&self, x: CpuTensor, grad: CpuTensor, _: [bool; 1]) -> [Option<CpuTensor>; 1] {
        let mut grad = contiguous(grad);
        cpu::backward(Level::detect(), values(&x), grad.storage_mut());
        [Some(grad)]
    }
}
