//! SwiGLU in Burn's graph: the CPU backend's operation and its node under autodiff.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};

use super::cpu;
use crate::kernels::buffer::{contiguous, tensor_like, values};
use crate::simd::Level;

/// SwiGLU as an operation of a backend.
#[backend_extension(Flex, Autodiff)]
pub(super) trait SwigluOps: Backend {
    /// See [`swiglu`](super::swiglu).
    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The gradient of [`SwigluOps`].
pub(super) trait SwigluGradient: SwigluOps {
    /// The gradients of `gate` and `up`, given that of the output.
    fn swiglu_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

impl SwigluOps for Flex {
    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let (gate, up) = (contiguous(gate), contiguous(up));
        let y = cpu::forward(Level::detect(), values(&gate), values(&up));
        tensor_like(y, &gate)
    }
}

impl SwigluGradient for Flex {
    fn swiglu_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (gate, up, mut grad) = (contiguous(gate), contiguous(up), contiguous(grad));
        let up_grad = cpu::backward(Level::detect(), values(&gate), values(&up), grad.storage_mut());
        (grad, tensor_like(up_grad, &up))
    }
}

impl<B: SwigluGradient, C: CheckpointStrategy> SwigluOps for Autodiff<B, C> {
    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: SwigluGradient> Backward<B, 2> for Step {
            type State = (FloatTensor<B>, FloatTensor<B>);

            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let [gate_node, up_node] = ops.parents;
                let (gate, up) = ops.state;
                let grad = grads.consume::<B>(&ops.node);
                let (gate_grad, up_grad) = B::swiglu_backward(gate, up, grad);
                if let Some(node) = gate_node {
                    grads.register::<B>(node.id, gate_grad);
                }
                if let Some(node) = up_node {
                    grads.register::<B>(node.id, up_grad);
                }
            }
        }

        match Step.prepare::<C>([gate.node(), up.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (gate, up) = (gate.into_primitive(), up.into_primitive());
                let y = B::swiglu(gate.clone(), up.clone());
                prepared.finish((gate, up), y)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::swiglu(gate.into_primitive(), up.into_primitive()))
            }
        }
    }
}
