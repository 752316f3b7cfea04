//! Grouped attention in Burn's graph: the CPU backend's operation and its node under autodiff.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};

use super::cpu::{self, Inputs};
use super::gradient;
use super::heads::{Heads, readable};
use super::plan::Plan;
use crate::kernels::buffer::{tensor, values};
use crate::simd::Level;

/// Grouped attention as an operation of a backend.
#[backend_extension(Flex, Autodiff)]
pub(super) trait GroupedAttentionOps: Backend {
    /// See [`grouped_attention`](super::grouped_attention).
    fn grouped_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self>;
}

/// `q`, `k` and `v`, or their gradients.
pub(super) type Qkv<B> = [FloatTensor<B>; 3];

/// The gradient of [`GroupedAttentionOps`].
pub(super) trait GroupedAttentionGradient: GroupedAttentionOps {
    /// The output, and what the backward pass needs of each softmax.
    fn grouped_attention_forward(qkv: Qkv<Self>, plan: &Plan) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The gradients of `q`, `k` and `v`, given that of the output.
    fn grouped_attention_backward(
        qkv: Qkv<Self>,
        norms: FloatTensor<Self>,
        plan: &Plan,
        grad: FloatTensor<Self>,
    ) -> Qkv<Self>;
}

fn inputs([q, k, v]: &Qkv<Flex>) -> Inputs<'_> {
    Inputs { q: Heads::of(q), k: Heads::of(k), v: Heads::of(v) }
}

impl GroupedAttentionOps for Flex {
    fn grouped_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self> {
        Self::grouped_attention_forward([q, k, v], &plan).0
    }
}

impl GroupedAttentionGradient for Flex {
    fn grouped_attention_forward(qkv: Qkv<Self>, plan: &Plan) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let qkv = qkv.map(readable);
        let inputs = inputs(&qkv);
        let (out, norms, order) = cpu::forward(Level::detect(), plan, inputs);
        let n_norms = norms.len();
        (order.tensor(out, inputs.q.n_batches), tensor(norms, [n_norms]))
    }

    fn grouped_attention_backward(
        qkv: Qkv<Self>,
        norms: FloatTensor<Self>,
        plan: &Plan,
        grad: FloatTensor<Self>,
    ) -> Qkv<Self> {
        let qkv = qkv.map(readable);
        let grad = readable(grad);
        let inputs = inputs(&qkv);
        gradient::backward(Level::detect(), plan, inputs, values(&norms), Heads::of(&grad))
            .map(|(grad, order)| order.tensor(grad, inputs.q.n_batches))
    }
}

impl<B: GroupedAttentionGradient, C: CheckpointStrategy> GroupedAttentionOps for Autodiff<B, C> {
    fn grouped_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: GroupedAttentionGradient> Backward<B, 3> for Step {
            type State = (Qkv<B>, FloatTensor<B>, Plan);

            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let (qkv, norms, plan) = ops.state;
                let grad = grads.consume::<B>(&ops.node);
                let qkv_grads = B::grouped_attention_backward(qkv, norms, &plan, grad);
                for (node, grad) in ops.parents.into_iter().zip(qkv_grads) {
                    if let Some(node) = node {
                        grads.register::<B>(node.id, grad);
                    }
                }
            }
        }

        match Step.prepare::<C>([q.node(), k.node(), v.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let qkv = [q, k, v].map(|x| x.into_primitive());
                let (out, norms) = B::grouped_attention_forward(qkv.clone(), &plan);
                prepared.finish((qkv, norms, plan), out)
            }
            OpsKind::UnTracked(prepared) => {
                let [q, k, v] = [q, k, v].map(|x| x.into_primitive());
                prepared.finish(B::grouped_attention(q, k, v, plan))
            }
        }
    }
}
