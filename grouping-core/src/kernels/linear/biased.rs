//! The linear product with a bias in Burn's graph: `y = x·W + b`, or `y = residual + x·W + b`.
//!
//! With g the gradient of y: `∂b = Σ_rows g`, the others as without a bias.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};

use super::backward::{LinearGradient, matrix_dims, register};
use super::cpu;
use crate::kernels::buffer::{contiguous, tensor, tensor_with_last, values};

/// The biased linear product as an operation of a backend.
#[backend_extension(Flex, Autodiff)]
pub(super) trait BiasedLinearOps: Backend {
    /// See [`linear_biased`](super::linear_biased).
    fn linear_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// See [`linear_biased_onto`](super::linear_biased_onto).
    fn linear_biased_onto(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// The gradient of a bias.
pub(super) trait BiasGradient: BiasedLinearOps + LinearGradient {
    /// The sums of the columns of the gradient of the product.
    fn linear_bias_gradient(grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl BiasedLinearOps for Flex {
    fn linear_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [x, weight, bias] = [x, weight, bias].map(contiguous);
        let dims = matrix_dims(&weight);
        let y = cpu::biased_product(values(&x), values(&weight), values(&bias), dims);
        tensor_with_last(y, &x, dims[1])
    }

    fn linear_biased_onto(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [mut y, x, weight, bias] = [residual, x, weight, bias].map(contiguous);
        let dims = matrix_dims(&weight);
        cpu::biased_product_onto(y.storage_mut(), values(&x), values(&weight), values(&bias), dims);
        y
    }
}

impl BiasGradient for Flex {
    fn linear_bias_gradient(grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let grad = contiguous(grad);
        let d_out = *grad.layout().shape().last().expect("the public functions take tensors with axes");
        tensor(cpu::column_sums(values(&grad), d_out), [d_out])
    }
}

impl<B: BiasGradient, C: CheckpointStrategy> BiasedLinearOps for Autodiff<B, C> {
    fn linear_biased(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: BiasGradient> Backward<B, 3> for Step {
            type State = [FloatTensor<B>; 2];

            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let [x, weight, bias] = ops.parents.map(|node| node.map(|node| node.id));
                if let Some(node) = bias {
                    grads.register::<B>(node, B::linear_bias_gradient(grad.clone()));
                }
                register::<B>([x, weight], ops.state, grad, grads);
            }
        }

        let nodes = [x.node(), weight.node(), bias.node()];
        let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
        match Step.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let y = B::linear_biased(x.clone(), weight.clone(), bias);
                prepared.finish([x, weight], y)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::linear_biased(x, weight, bias)),
        }
    }

    fn linear_biased_onto(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: BiasGradient> Backward<B, 4> for Step {
            type State = [FloatTensor<B>; 2];

            fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let [residual, x, weight, bias] = ops.parents.map(|node| node.map(|node| node.id));
                if let Some(node) = residual {
                    grads.register::<B>(node, grad.clone());
                }
                if let Some(node) = bias {
                    grads.register::<B>(node, B::linear_bias_gradient(grad.clone()));
                }
                register::<B>([x, weight], ops.state, grad, grads);
            }
        }

        let nodes = [residual.node(), x.node(), weight.node(), bias.node()];
        let [residual, x, weight, bias] = [residual, x, weight, bias].map(|tensor| tensor.into_primitive());
        match Step.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let y = B::linear_biased_onto(residual, x.clone(), weight.clone(), bias);
                prepared.finish([x, weight], y)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::linear_biased_onto(residual, x, weight, bias)),
        }
    }
}
