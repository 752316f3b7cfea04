//! Divisive normalisation as a fused operation: its passes on the CPU backend.

use super::cpu::{self, Norm, Shape};
use crate::kernels::FusedOp;
use crate::kernels::buffer::{CpuTensor, contiguous, tensor, tensor_like, values, zeros};
use crate::simd::Level;

/// See [`gdn`](super::gdn).
#[derive(Clone, Debug)]
pub(super) struct Gdn {
    pub(super) inverse: bool,
}

impl Gdn {
    fn norm<'a>(&self, beta: &'a CpuTensor, gamma: &'a CpuTensor) -> Norm<'a> {
        Norm { beta: values(beta), gamma: values(gamma), inverse: self.inverse }
    }
}

fn shape(x: &CpuTensor) -> Shape {
    let shape = x.layout().shape();
    [shape[0], shape[1], shape[2] * shape[3]]
}

impl FusedOp<3> for Gdn {
    /// `x`, `beta` and `gamma`.
    type Saved = [CpuTensor; 3];

    fn forward(&self, inputs: [CpuTensor; 3]) -> (CpuTensor, [CpuTensor; 3]) {
        let [x, beta, gamma] = inputs.map(contiguous);
        let mut y = zeros(values(&x).len());
        cpu::forward(Level::detect(), shape(&x), Some(values(&x)), self.norm(&beta, &gamma), &mut y);
        (tensor_like(y, &x), [x, beta, gamma])
    }

    fn infer(&self, inputs: [CpuTensor; 3]) -> CpuTensor {
        let [mut x, beta, gamma] = inputs.map(contiguous);
        if !x.is_unique() {
            return self.forward([x, beta, gamma]).0;
        }
        let shape = shape(&x);
        cpu::forward(Level::detect(), shape, None, self.norm(&beta, &gamma), x.storage_mut());
        x
    }

    fn backward(
        &self,
        [x, beta, gamma]: [CpuTensor; 3],
        grad: CpuTensor,
        [x_wanted, beta_wanted, gamma_wanted]: [bool; 3],
    ) -> [Option<CpuTensor>; 3] {
        let grad = contiguous(grad);
        let norm = self.norm(&beta, &gamma);
        let (x_grad, beta_grad, gamma_grad) =
            cpu::backward(Level::detect(), shape(&x), values(&x), norm, values(&grad));
        [
            x_wanted.then(|| tensor_like(x_grad, &x)),
            beta_wanted.then(|| {
                let channels = beta_grad.len();
                tensor(beta_grad, [channels])
            }),
            gamma_wanted.then(|| tensor_like(gamma_grad, &gamma)),
        ]
    }
}
