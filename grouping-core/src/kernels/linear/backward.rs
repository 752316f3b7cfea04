//! The linear product in its four forms as fused operations: their passes on the CPU backend.
//!
//! With g the gradient of y: `∂x = g·Wᵀ`, `∂W = xᵀ·g`, `∂b = Σ_rows g`, `∂residual = g`; each is computed only where it is wanted.
//!
//! Burn's own product would do, but clears and copies every result once (0.22.1), a tenth of a small decoder's training step.

use super::cpu;
use crate::kernels::FusedOp;
use crate::kernels::buffer::{CpuTensor, contiguous, tensor, tensor_with_last, values};

/// See [`linear`](super::linear).
#[derive(Clone, Debug)]
pub(super) struct Linear;

/// See [`linear_onto`](super::linear_onto).
#[derive(Clone, Debug)]
pub(super) struct LinearOnto;

/// See [`linear_biased`](super::linear_biased).
#[derive(Clone, Debug)]
pub(super) struct LinearBiased;

/// See [`linear_biased_onto`](super::linear_biased_onto).
#[derive(Clone, Debug)]
pub(super) struct LinearBiasedOnto;

/// `x` and `weight`.
type Factors = [CpuTensor; 2];

impl FusedOp<2> for Linear {
    type Saved = Factors;

    fn forward(&self, inputs: [CpuTensor; 2]) -> (CpuTensor, Factors) {
        let [x, weight] = inputs.map(contiguous);
        let dims = matrix_dims(&weight);
        let y = cpu::product(values(&x), values(&weight), dims);
        (tensor_with_last(y, &x, dims[1]), [x, weight])
    }

    fn backward(&self, factors: Factors, grad: CpuTensor, wanted: [bool; 2]) -> [Option<CpuTensor>; 2] {
        factor_gradients(factors, grad, wanted)
    }
}

impl FusedOp<3> for LinearOnto {
    type Saved = Factors;

    fn forward(&self, inputs: [CpuTensor; 3]) -> (CpuTensor, Factors) {
        let [mut y, x, weight] = inputs.map(contiguous);
        cpu::product_onto(y.storage_mut(), values(&x), values(&weight), matrix_dims(&weight));
        (y, [x, weight])
    }

    fn backward(
        &self,
        factors: Factors,
        grad: CpuTensor,
        [_, x, weight]: [bool; 3],
    ) -> [Option<CpuTensor>; 3] {
        let [x_grad, weight_grad] = factor_gradients(factors, grad.clone(), [x, weight]);
        [Some(grad), x_grad, weight_grad]
    }
}

impl FusedOp<3> for LinearBiased {
    type Saved = Factors;

    fn forward(&self, inputs: [CpuTensor; 3]) -> (CpuTensor, Factors) {
        let [x, weight, bias] = inputs.map(contiguous);
        let dims = matrix_dims(&weight);
        let y = cpu::biased_product(values(&x), values(&weight), values(&bias), dims);
        (tensor_with_last(y, &x, dims[1]), [x, weight])
    }

    fn backward(
        &self,
        factors: Factors,
        grad: CpuTensor,
        [x, weight, bias]: [bool; 3],
    ) -> [Option<CpuTensor>; 3] {
        let bias_grad = bias.then(|| bias_gradient(grad.clone()));
        let [x_grad, weight_grad] = factor_gradients(factors, grad, [x, weight]);
        [x_grad, weight_grad, bias_grad]
    }
}

impl FusedOp<4> for LinearBiasedOnto {
    type Saved = Factors;

    fn forward(&self, inputs: [CpuTensor; 4]) -> (CpuTensor, Factors) {
        let [mut y, x, weight, bias] = inputs.map(contiguous);
        let dims = matrix_dims(&weight);
        cpu::biased_product_onto(y.storage_mut(), values(&x), values(&weight), values(&bias), dims);
        (y, [x, weight])
    }

    fn backward(
        &self,
        factors: Factors,
        grad: CpuTensor,
        [_, x, weight, bias]: [bool; 4],
    ) -> [Option<CpuTensor>; 4] {
        let [x_grad, weight_grad, bias_grad] =
            LinearBiased.backward(factors, grad.clone(), [x, weight, bias]);
        [Some(grad), x_grad, weight_grad, bias_grad]
    }
}

fn matrix_dims(weight: &CpuTensor) -> [usize; 2] {
    let shape = weight.layout().shape();
    [shape[0], shape[1]]
}

fn last_dim(x: &CpuTensor) -> usize {
    *x.layout().shape().last().expect("the public functions take tensors with axes")
}

/// The gradients of `x` and `weight`.
fn factor_gradients(
    [x, weight]: Factors,
    grad: CpuTensor,
    [x_wanted, weight_wanted]: [bool; 2],
) -> [Option<CpuTensor>; 2] {
    let grad = contiguous(grad);
    let weight_grad = weight_wanted.then(|| {
        let dims = [last_dim(&x), last_dim(&grad)];
        tensor(cpu::weight_gradient(values(&x), values(&grad), dims), dims)
    });
    let x_grad = x_wanted.then(|| {
        let dims = matrix_dims(&weight);
        tensor_with_last(cpu::input_gradient(values(&grad), values(&weight), dims), &grad, dims[0])
    });
    [x_grad, weight_grad]
}

fn bias_gradient(grad: CpuTensor) -> CpuTensor {
    let (grad, d_out) = (contiguous(grad.clone()), last_dim(&grad));
    tensor(cpu::column_sums(values(&grad), d_out), [d_out])
}
