//! Rotary causal attention as a fused operation: its passes on the CPU backend.

use super::RopeAttention;
use super::cpu::{self, Geometry, Inputs};
use crate::kernels::FusedOp;
use crate::kernels::buffer::{CpuTensor, contiguous, tensor_like, values};
use crate::simd::Level;

fn geometry(q: &CpuTensor, config: &RopeAttention) -> Geometry {
    Geometry {
        seq: q.layout().shape()[1],
        n_heads: config.n_heads,
        n_kv_heads: config.n_kv_heads,
        head_dim: config.head_dim,
    }
}

fn inputs([q, k, v]: &[CpuTensor; 3]) -> Inputs<'_> {
    Inputs { q: values(q), k: values(k), v: values(v) }
}

impl FusedOp<3> for RopeAttention {
    /// `q`, `k` and `v`, and what the backward pass needs of each softmax.
    type Saved = ([CpuTensor; 3], Vec<f32>);

    fn forward(&self, qkv: [CpuTensor; 3]) -> (CpuTensor, Self::Saved) {
        let qkv = qkv.map(contiguous);
        let geometry = geometry(&qkv[0], self);
        let rotary = self.rotary(geometry.seq);
        let (out, norms) = cpu::forward(Level::detect(), &geometry, &rotary, inputs(&qkv));
        (tensor_like(out, &qkv[0]), (qkv, norms))
    }

    fn backward(&self, (qkv, norms): Self::Saved, grad: CpuTensor, _: [bool; 3]) -> [Option<CpuTensor>; 3] {
        let mut grad = contiguous(grad);
        let geometry = geometry(&qkv[0], self);
        let rotary = self.rotary(geometry.seq);
        let (level, grad_values) = (Level::detect(), grad.storage_mut());
        let (k_grad, v_grad) = cpu::backward(level, &geometry, &rotary, inputs(&qkv), &norms, grad_values);
        [grad, tensor_like(k_grad, &qkv[1]), tensor_like(v_grad, &qkv[2])].map(Some)
    }
}
