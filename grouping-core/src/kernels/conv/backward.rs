//! Both convolutions as fused operations, with and without a bias, and on top of a residual: their passes on the CPU backend.
//!
//! With g the gradient of the sums, `∂x` of one direction is the other direction of g with the same weight, and `∂b = Σ g`. `∂w` of a
//! transposed convolution is that of an ordinary one whose input is g and whose gradient is x.

use super::forward::forward_into;
use super::geometry::{Geometry, transposed_output};
use super::gradient::{channel_sums, weight_gradient};
use super::minimal::{self, Plan};
use super::options::{Algorithm, ConvOptions, Finish, Rectifier};
use crate::kernels::FusedOp;
use crate::kernels::buffer::{CpuTensor, contiguous, tensor, tensor_like, values, zeros};
use crate::simd::Level;

/// See [`conv2d`](super::conv2d) and [`conv_transpose2d`](super::conv_transpose2d).
#[derive(Clone, Debug)]
pub(super) struct Conv {
    pub(super) direction: Direction,
    pub(super) options: ConvOptions,
}

/// From which side the weight is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Direction {
    Ordinary,
    Transposed,
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    x: CpuTensor,
    weight: CpuTensor,
    /// Where a rectifier was applied.
    y: Option<CpuTensor>,
}

impl FusedOp<2> for Conv {
    type Saved = Saved;

    fn forward(&self, inputs: [CpuTensor; 2]) -> (CpuTensor, Saved) {
        let [x, weight] = inputs.map(contiguous);
        self.run(x, weight, None)
    }

    fn backward(&self, saved: Saved, grad: CpuTensor, [x, weight]: [bool; 2]) -> [Option<CpuTensor>; 2] {
        let grad = self.before_rectifier(&saved, grad);
        let [x, weight, _] = self.gradients(saved, &grad, [x, weight, false]);
        [x, weight]
    }
}

impl FusedOp<3> for Conv {
    type Saved = Saved;

    fn forward(&self, inputs: [CpuTensor; 3]) -> (CpuTensor, Saved) {
        let [x, weight, bias] = inputs.map(contiguous);
        self.run(x, weight, Some(bias))
    }

    fn backward(&self, saved: Saved, grad: CpuTensor, wanted: [bool; 3]) -> [Option<CpuTensor>; 3] {
        let grad = self.before_rectifier(&saved, grad);
        self.gradients(saved, &grad, wanted)
    }
}

/// Of `x`, `weight`, `bias` and what is added to the sums, which is then written in place where nobody else holds it.
impl FusedOp<4> for Conv {
    type Saved = Saved;

    fn forward(&self, inputs: [CpuTensor; 4]) -> (CpuTensor, Saved) {
        let [x, weight, bias, residual] = inputs.map(contiguous);
        let y = self.onto(&x, &weight, &bias, residual);
        let kept = (self.options.rectifier != Rectifier::None).then(|| y.clone());
        (y, Saved { x, weight, y: kept })
    }

    fn infer(&self, inputs: [CpuTensor; 4]) -> CpuTensor {
        let [x, weight, bias, residual] = inputs.map(contiguous);
        self.onto(&x, &weight, &bias, residual)
    }

    fn backward(&self, saved: Saved, grad: CpuTensor, wanted: [bool; 4]) -> [Option<CpuTensor>; 4] {
        let grad = self.before_rectifier(&saved, grad);
        let residual_grad = wanted[3].then(|| grad.clone());
        let [x, weight, bias] = self.gradients(saved, &grad, [wanted[0], wanted[1], wanted[2]]);
        [x, weight, bias, residual_grad]
    }
}

fn dims(tensor: &CpuTensor) -> [usize; 4] {
    let shape = tensor.layout().shape();
    std::array::from_fn(|axis| shape[axis])
}

impl Conv {
    fn geometry(&self, x: [usize; 4], weight: [usize; 4]) -> Geometry {
        let ConvOptions { stride, padding, output_padding, .. } = self.options;
        match self.direction {
            Direction::Ordinary => Geometry::ordinary(x, weight, stride, padding),
            Direction::Transposed => {
                let (input, kernel) = ([x[2], x[3]], [weight[2], weight[3]]);
                let output = transposed_output(input, kernel, stride, padding, output_padding);
                Geometry::transposed(x, weight, stride, padding, output)
            }
        }
    }

    /// Writes the convolution of this geometry, by the algorithm of the options, into `out`.
    fn sums_into(
        &self,
        geometry: &Geometry,
        [x, weight]: [&CpuTensor; 2],
        bias: &[f32],
        finish: Finish,
        out: &mut [f32],
    ) {
        let (level, x, weight) = (Level::detect(), values(x), values(weight));
        match self.options.algorithm {
            Algorithm::Minimal => {
                if let Some(plan) = Plan::new(geometry) {
                    return minimal::forward_into(level, &plan, x, weight, bias, finish, out);
                }
            }
            Algorithm::Direct => {}
        }
        forward_into(level, geometry, x, weight, bias, finish, out);
    }

    /// The convolution of this geometry.
    fn sums(
        &self,
        geometry: &Geometry,
        inputs: [&CpuTensor; 2],
        bias: &[f32],
        rectifier: Rectifier,
    ) -> Vec<f32> {
        let mut out = zeros(geometry.n_outputs());
        self.sums_into(geometry, inputs, bias, Finish { rectifier, adds: false }, &mut out);
        out
    }

    /// The result on top of `residual`.
    fn onto(
        &self,
        x: &CpuTensor,
        weight: &CpuTensor,
        bias: &CpuTensor,
        mut residual: CpuTensor,
    ) -> CpuTensor {
        let geometry = self.geometry(dims(x), dims(weight));
        let finish = Finish { rectifier: self.options.rectifier, adds: true };
        // A copy where somebody else holds it.
        let out: &mut [f32] = residual.storage_mut();
        self.sums_into(&geometry, [x, weight], values(bias), finish, out);
        residual
    }

    fn run(&self, x: CpuTensor, weight: CpuTensor, bias: Option<CpuTensor>) -> (CpuTensor, Saved) {
        let geometry = self.geometry(dims(&x), dims(&weight));
        let zeros;
        let bias = match &bias {
            Some(bias) => values(bias),
            None => {
                zeros = vec![0.0; geometry.c_out];
                &zeros
            }
        };
        let rectifier = self.options.rectifier;
        let y = self.sums(&geometry, [&x, &weight], bias, rectifier);
        let y = tensor(y, [geometry.batch, geometry.c_out, geometry.output[0], geometry.output[1]]);
        let kept = (rectifier != Rectifier::None).then(|| y.clone());
        (y, Saved { x, weight, y: kept })
    }

    /// The gradient of what the rectifier was applied to.
    fn before_rectifier(&self, saved: &Saved, grad: CpuTensor) -> CpuTensor {
        let mut grad = contiguous(grad);
        if let Some(y) = &saved.y {
            let slope = self.options.rectifier.slope();
            let grad: &mut [f32] = grad.storage_mut();
            grad.iter_mut().zip(values(y)).for_each(|(g, &y)| *g *= if y > 0.0 { 1.0 } else { slope });
        }
        grad
    }

    /// The gradients of `x`, `weight` and the bias, given that of the sums.
    fn gradients(
        &self,
        Saved { x, weight, .. }: Saved,
        grad: &CpuTensor,
        wanted: [bool; 3],
    ) -> [Option<CpuTensor>; 3] {
        let ConvOptions { stride, padding, .. } = self.options;
        let (level, x_dims, grad_dims, weight_dims) = (Level::detect(), dims(&x), dims(grad), dims(&weight));
        let x_grad = wanted[0].then(|| {
            let geometry = match self.direction {
                Direction::Ordinary => {
                    let output = [x_dims[2], x_dims[3]];
                    Geometry::transposed(grad_dims, weight_dims, stride, padding, output)
                }
                Direction::Transposed => Geometry::ordinary(grad_dims, weight_dims, stride, padding),
            };
            let zeros = vec![0.0; geometry.c_out];
            tensor_like(self.sums(&geometry, [grad, &weight], &zeros, Rectifier::None), &x)
        });
        let weight_grad = wanted[1].then(|| {
            let gradient = match self.direction {
                Direction::Ordinary => {
                    let geometry = Geometry::ordinary(x_dims, weight_dims, stride, padding);
                    weight_gradient(level, &geometry, values(&x), values(grad))
                }
                Direction::Transposed => {
                    let geometry = Geometry::ordinary(grad_dims, weight_dims, stride, padding);
                    weight_gradient(level, &geometry, values(grad), values(&x))
                }
            };
            tensor_like(gradient, &weight)
        });
        let bias_grad = wanted[2].then(|| {
            let plane = grad_dims[2] * grad_dims[3];
            tensor(channel_sums(values(grad), grad_dims[1], plane), [grad_dims[1]])
        });
        [x_grad, weight_grad, bias_grad]
    }
}
