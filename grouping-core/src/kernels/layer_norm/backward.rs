//! Layer normalisation in Burn's graph: the CPU backend's operation and its node under autodiff.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};

use super::cpu::{self, Affine};
use crate::kernels::buffer::{contiguous, tensor, tensor_like, values};
use crate::simd::Level;

/// Layer normalisation as an operation of a backend.
#[backend_extension(Flex, Autodiff)]
pub(super) trait LayerNormOps: Backend {
    /// See [`layer_norm`](super::layer_norm).
    fn layer_norm_affine(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self>;
}

/// The gradient of [`LayerNormOps`].
pub(super) trait LayerNormGradient: LayerNormOps {
    /// The gradients of `x`, `weight` and the bias, given that of the output.
    fn layer_norm_affine_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f64,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];
}

impl LayerNormOps for Flex {
    fn layer_norm_affine(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self> {
        let [x, weight, bias] = [x, weight, bias].map(contiguous);
        let affine = Affine { weight: values(&weight), bias: values(&bias) };
        tensor_like(cpu::forward(Level::detect(), values(&x), affine, eps as f32), &x)
    }
}

impl LayerNormGradient for Flex {
    fn layer_norm_affine_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f64,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3] {
        let [x, weight, mut grad] = [x, weight, grad].map(contiguous);
        let (x, weight) = (values(&x), values(&weight));
        let (weight_grad, bias_grad) =
            cpu::backward(Level::detect(), x, weight, eps as f32, grad.storage_mut());
        [grad, tensor(weight_grad, [weight.len()]), tensor(bias_grad, [weight.len()])]
    }
}

impl<B: LayerNormGradient, C: CheckpointStrategy> LayerNormOps for Autodiff<B, C> {
    fn layer_norm_affine(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        eps: f64,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: LayerNormGradient> Backward<B, 3> for Step {
            type State = (FloatTensor<B>, FloatTensor<B>, f64);

            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let (x, weight, eps) = ops.state;
                let grad = grads.consume::<B>(&ops.node);
                let gradients = B::layer_norm_affine_backward(x, weight, eps, grad);
                for (node, grad) in ops.parents.into_iter().zip(gradients) {
                    if let Some(node) = node {
                        grads.register::<B>(node.id, grad);
                    }
                }
            }
        }

        match Step.prepare::<C>([x.node(), weight.node(), bias.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
                let y = B::layer_norm_affine(x.clone(), weight.clone(), bias, eps);
                prepared.finish((x, weight, eps), y)
            }
            OpsKind::UnTracked(prepared) => {
                let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
                prepared.finish(B::layer_norm_affine(x, weight, bias, eps))
            }
        }
    }
}
