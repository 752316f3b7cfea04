//! RMSNorm in Burn's graph: the CPU backend's operation and its node under autodiff.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};

use super::cpu;
use crate::kernels::buffer::{contiguous, tensor, tensor_like, values};
use crate::simd::Level;

/// RMSNorm as an operation of a backend.
#[backend_extension(Flex, Autodiff)]
pub(super) trait RmsNormOps: Backend {
    /// See [`rms_norm`](super::rms_norm).
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f64) -> FloatTensor<Self>;
}

/// The gradient of [`RmsNormOps`].
pub(super) trait RmsNormGradient: RmsNormOps {
    /// The gradients of `x` and `weight`, given that of the output.
    fn rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f64,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

impl RmsNormOps for Flex {
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f64) -> FloatTensor<Self> {
        let (x, weight) = (contiguous(x), contiguous(weight));
        let y = cpu::forward(Level::detect(), values(&x), values(&weight), eps as f32);
        tensor_like(y, &x)
    }
}

impl RmsNormGradient for Flex {
    fn rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f64,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (x, weight, mut grad) = (contiguous(x), contiguous(weight), contiguous(grad));
        let (x, weight) = (values(&x), values(&weight));
        let weight_grad = cpu::backward(Level::detect(), x, weight, eps as f32, grad.storage_mut());
        (grad, tensor(weight_grad, [weight.len()]))
    }
}

impl<B: RmsNormGradient, C: CheckpointStrategy> RmsNormOps for Autodiff<B, C> {
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f64) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: RmsNormGradient> Backward<B, 2> for Step {
            type State = (FloatTensor<B>, FloatTensor<B>, f64);

            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let [x_node, weight_node] = ops.parents;
                let (x, weight, eps) = ops.state;
                let grad = grads.consume::<B>(&ops.node);
                let (x_grad, weight_grad) = B::rms_norm_backward(x, weight, eps, grad);
                if let Some(node) = x_node {
                    grads.register::<B>(node.id, x_grad);
                }
                if let Some(node) = weight_node {
                    grads.register::<B>(node.id, weight_grad);
                }
            }
        }

        match Step.prepare::<C>([x.node(), weight.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (x, weight) = (x.into_primitive(), weight.into_primitive());
                let y = B::rms_norm(x.clone(), weight.clone(), eps);
                prepared.finish((x, weight, eps), y)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::rms_norm(x.into_primitive(), weight.into_primitive(), eps))
            }
        }
    }
}
