//! Rotary causal attention in Burn's graph: the CPU backend's operation and its node under autodiff.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Flex, backend_extension};

use super::RopeAttention;
use super::cpu::{self, Geometry, Inputs};
use crate::kernels::buffer::{CpuTensor, contiguous, tensor, tensor_like, values};
use crate::simd::Level;

/// Rotary causal attention as an operation of a backend.
#[backend_extension(Flex, Autodiff)]
pub(super) trait RopeAttentionOps: Backend {
    /// See [`rope_attention`](super::rope_attention).
    fn rope_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        config: RopeAttention,
    ) -> FloatTensor<Self>;
}

/// `q`, `k` and `v`, or their gradients.
pub(super) type Qkv<B> = [FloatTensor<B>; 3];

/// The gradient of [`RopeAttentionOps`].
pub(super) trait RopeAttentionGradient: RopeAttentionOps {
    /// The output, and what the backward pass needs of each softmax.
    fn rope_attention_forward(
        qkv: Qkv<Self>,
        config: RopeAttention,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The gradients of `q`, `k` and `v`, given that of the output.
    fn rope_attention_backward(
        qkv: Qkv<Self>,
        norms: FloatTensor<Self>,
        config: RopeAttention,
        grad: FloatTensor<Self>,
    ) -> Qkv<Self>;
}

fn geometry(q: &CpuTensor, config: &RopeAttention) -> Geometry {
    Geometry {
        seq: q.layout().shape()[1],
        n_heads: config.n_heads,
        n_kv_heads: config.n_kv_heads,
        head_dim: config.head_dim,
    }
}

fn inputs([q, k, v]: &Qkv<Flex>) -> Inputs<'_> {
    Inputs { q: values(q), k: values(k), v: values(v) }
}

impl RopeAttentionOps for Flex {
    fn rope_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        config: RopeAttention,
    ) -> FloatTensor<Self> {
        Self::rope_attention_forward([q, k, v], config).0
    }
}

impl RopeAttentionGradient for Flex {
    fn rope_attention_forward(
        qkv: Qkv<Self>,
        config: RopeAttention,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let qkv = qkv.map(contiguous);
        let geometry = geometry(&qkv[0], &config);
        let rotary = config.rotary(geometry.seq);
        let (out, norms) = cpu::forward(Level::detect(), &geometry, &rotary, inputs(&qkv));
        let n_norms = norms.len();
        (tensor_like(out, &qkv[0]), tensor(norms, [n_norms]))
    }

    fn rope_attention_backward(
        qkv: Qkv<Self>,
        norms: FloatTensor<Self>,
        config: RopeAttention,
        grad: FloatTensor<Self>,
    ) -> Qkv<Self> {
        let qkv = qkv.map(contiguous);
        let mut grad = contiguous(grad);
        let geometry = geometry(&qkv[0], &config);
        let rotary = config.rotary(geometry.seq);
        let (k_grad, v_grad) = cpu::backward(
            Level::detect(),
            &geometry,
            &rotary,
            inputs(&qkv),
            values(&norms),
            grad.storage_mut(),
        );
        let (k_grad, v_grad) = (tensor_like(k_grad, &qkv[1]), tensor_like(v_grad, &qkv[2]));
        [grad, k_grad, v_grad]
    }
}

impl<B: RopeAttentionGradient, C: CheckpointStrategy> RopeAttentionOps for Autodiff<B, C> {
    fn rope_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        config: RopeAttention,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Step;

        impl<B: RopeAttentionGradient> Backward<B, 3> for Step {
            type State = (Qkv<B>, FloatTensor<B>, RopeAttention);

            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let (qkv, norms, config) = ops.state;
                let grad = grads.consume::<B>(&ops.node);
                let qkv_grads = B::rope_attention_backward(qkv, norms, config, grad);
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
                let (out, norms) = B::rope_attention_forward(qkv.clone(), config);
                prepared.finish((qkv, norms, config), out)
            }
            OpsKind::UnTracked(prepared) => {
                let [q, k, v] = [q, k, v].map(|x| x.into_primitive());
                prepared.finish(B::rope_attention(q, k, v, config))
            }
        }
    }
}
