//! The linear product in Burn's graph: the CPU backend's operation and its nodes under autodiff.
//!
//! Burn's own product would do, but clears and copies every result once (0.22.1), a tenth of a small decoder's training step.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::autodiff::{Autodiff, NodeId};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};

use super::cpu;
use crate::kernels::buffer::{CpuTensor, contiguous, tensor, tensor_with_last, values};

/// The linear product as an operation of a backend.
#[backend_extension(Flex, Autodiff)]
pub(super) trait LinearOps: Backend {
    /// See [`linear`](super::linear).
    fn linear_product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// See [`linear_onto`](super::linear_onto).
    fn linear_onto(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// The gradients of [`LinearOps`].
pub(super) trait LinearGradient: LinearOps {
    /// The gradient of `x`, given that of the product.
    fn linear_input_gradient(weight: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradient of `weight`, given that of the product.
    fn linear_weight_gradient(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

pub(super) fn matrix_dims(weight: &CpuTensor) -> [usize; 2] {
    let shape = weight.layout().shape();
    [shape[0], shape[1]]
}

fn last_dim(x: &CpuTensor) -> usize {
    *x.layout().shape().last().expect("the public functions take tensors with axes")
}

impl LinearOps for Flex {
    fn linear_product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, weight) = (contiguous(x), contiguous(weight));
        let dims = matrix_dims(&weight);
        tensor_with_last(cpu::product(values(&x), values(&weight), dims), &x, dims[1])
    }

    fn linear_onto(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (mut y, x, weight) = (contiguous(residual), contiguous(x), contiguous(weight));
        cpu::product_onto(y.storage_mut(), values(&x), values(&weight), matrix_dims(&weight));
        y
    }
}

impl LinearGradient for Flex {
    fn linear_input_gradient(weight: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let (weight, grad) = (contiguous(weight), contiguous(grad));
        let dims = matrix_dims(&weight);
        tensor_with_last(cpu::input_gradient(values(&grad), values(&weight), dims), &grad, dims[0])
    }

    fn linear_weight_gradient(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, grad) = (contiguous(x), contiguous(grad));
        let dims = [last_dim(&x), last_dim(&grad)];
        tensor(cpu::weight_gradient(values(&x), values(&grad), dims), dims)
    }
}

/// `x` and `weight`.
pub(super) type Factors<B> = [FloatTensor<B>; 2];

/// Registers the gradients of the factors whose nodes are tracked.
pub(super) fn register<B: LinearGradient>(
    nodes: [Option<NodeId>; 2],
    [x, weight]: Factors<B>,
    grad: FloatTensor<B>,
    grads: &mut Gradients,
) {
    let [x_node, weight_node] = nodes;
    if let Some(node) = weight_node {
        grads.register::<B>(node, B::linear_weight_gradient(x, grad.clone()));
    }
    if let Some(node) = x_node {
        grads.register::<B>(node, B::linear_input_gradient(weight, grad));
    }
}

impl<B: LinearGradient, C: CheckpointStrategy> LinearOps for Autodiff<B, C> {
    fn linear_product(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: LinearGradient> Backward<B, 2> for Step {
            type State = Factors<B>;

            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                register::<B>(ops.parents.map(|node| node.map(|node| node.id)), ops.state, grad, grads);
            }
        }

        match Step.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (x, weight) = (x.into_primitive(), weight.into_primitive());
                let y = B::linear_product(x.clone(), weight.clone());
                prepared.finish([x, weight], y)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::linear_product(x.into_primitive(), weight.into_primitive()))
            }
        }
    }

    fn linear_onto(
        residual: FloatTensor<Self>,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: LinearGradient> Backward<B, 3> for Step {
            type State = Factors<B>;

            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let [residual, x, weight] = ops.parents.map(|node| node.map(|node| node.id));
                if let Some(node) = residual {
                    grads.register::<B>(node, grad.clone());
                }
                register::<B>([x, weight], ops.state, grad, grads);
            }
        }

        let nodes = [residual.node(), x.node(), weight.node()];
        let [residual, x, weight] = [residual, x, weight].map(|tensor| tensor.into_primitive());
        match Step.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let y = B::linear_onto(residual, x.clone(), weight.clone());
                prepared.finish([x, weight], y)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::linear_onto(residual, x, weight)),
        }
    }
}
