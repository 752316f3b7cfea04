//! GELU in Burn's graph: the CPU backend's operation and its node under autodiff.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};

use super::cpu;
use crate::kernels::buffer::{contiguous, tensor_like, values};
use crate::simd::Level;

/// GELU as an operation of a backend.
#[backend_extension(Flex, Autodiff)]
pub(super) trait GeluOps: Backend {
    /// See [`gelu`](super::gelu).
    fn gelu_exact(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The gradient of [`GeluOps`].
pub(super) trait GeluGradient: GeluOps {
    /// The gradient of `x`, given that of the output.
    fn gelu_exact_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl GeluOps for Flex {
    fn gelu_exact(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let mut x = contiguous(x);
        if x.is_unique() {
            cpu::forward(Level::detect(), x.storage_mut());
            x
        } else {
            tensor_like(cpu::forward_copy(Level::detect(), values(&x)), &x)
        }
    }
}

impl GeluGradient for Flex {
    fn gelu_exact_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        let (x, mut grad) = (contiguous(x), contiguous(grad));
        cpu::backward(Level::detect(), values(&x), grad.storage_mut());
        grad
    }
}

impl<B: GeluGradient, C: CheckpointStrategy> GeluOps for Autodiff<B, C> {
    fn gelu_exact(x: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: GeluGradient> Backward<B, 1> for Step {
            type State = FloatTensor<B>;

            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let [x] = ops.parents;
                let grad = grads.consume::<B>(&ops.node);
                if let Some(node) = x {
                    grads.register::<B>(node.id, B::gelu_exact_backward(ops.state, grad));
                }
            }
        }

        match Step.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let x = x.into_primitive();
                prepared.finish(x.clone(), B::gelu_exact(x))
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::gelu_exact(x.into_primitive())),
        }
    }
}
