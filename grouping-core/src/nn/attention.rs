//! The part of the decoder that a method may replace: causal self-attention.
//!
//! [`SelfAttention`] is grouped-query attention (Ainslie et al. 2023) with rotary positions (Su et al. 2021, in the
//! half-split layout of Hugging Face's Llama): `softmax(rope(q)·rope(k)ᵀ/√head_dim)·v`, where n_heads / n_kv_heads query heads
//! share one key and one value head.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;

use super::decoder::DecoderConfig;
use super::init::Initializer;
use super::projection::{Bias, Projection};
use crate::kernels::{RopeAttention, rope_attention};

/// A causal attention module; its fields name its tensors below `model.layers.{i}.self_attn`.
pub trait Attention: Module + ModuleDisplay + Sync {
    /// `x [batch, seq, hidden]` → the same shape; position t sees positions up to t.
    fn forward(&self, x: Tensor<3>) -> Tensor<3>;

    /// `residual + forward(x)`, all of one shape.
    fn forward_onto(&self, residual: Tensor<3>, x: Tensor<3>) -> Tensor<3> {
        residual + self.forward(x)
    }

    /// The projections that can carry an update of low rank, with their field names.
    fn projections(&self) -> Vec<(&'static str, &Projection)>;

    /// As [`projections`](Self::projections), to attach or fold an update.
    fn projections_mut(&mut self) -> Vec<(&'static str, &mut Projection)>;
}

/// Grouped-query attention with rotary positions.
#[derive(Module, Debug)]
pub struct SelfAttention {
    /// hidden → n_heads · head_dim.
    pub q_proj: Projection,
    /// hidden → n_kv_heads · head_dim.
    pub k_proj: Projection,
    /// hidden → n_kv_heads · head_dim.
    pub v_proj: Projection,
    /// n_heads · head_dim → hidden.
    pub o_proj: Projection,
    #[module(skip)]
    shape: RopeAttention,
}

impl SelfAttention {
    /// The attention of one layer of `config`.
    pub fn new(config: &DecoderConfig, init: &mut Initializer) -> Self {
        let (hidden, head_dim) = (config.hidden_size, config.head_dim());
        let (q_size, kv_size) = (config.n_heads * head_dim, config.n_kv_heads() * head_dim);
        let bias = Bias::from_flag(config.attention_bias);
        let input_std = 1.0 / (hidden as f64).sqrt();
        let output_std = config.residual_scale() / (q_size as f64).sqrt();
        Self {
            q_proj: Projection::new([hidden, q_size], input_std, bias, init),
            k_proj: Projection::new([hidden, kv_size], input_std, bias, init),
            v_proj: Projection::new([hidden, kv_size], input_std, bias, init),
            o_proj: Projection::new([q_size, hidden], output_std, bias, init),
            shape: RopeAttention::new(config.n_heads, config.n_kv_heads(), head_dim)
                .with_theta(config.rope_theta),
        }
    }
}

impl SelfAttention {
    /// What the heads read, side by side: `x [batch, seq, hidden]` → `[batch, seq, n_heads · head_dim]`.
    fn heads(&self, x: Tensor<3>) -> Tensor<3> {
        let q = self.q_proj.forward(x.clone());
        let k = self.k_proj.forward(x.clone());
        let v = self.v_proj.forward(x);
        rope_attention(q, k, v, &self.shape)
    }
}

impl Attention for SelfAttention {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.o_proj.forward(self.heads(x))
    }

    fn forward_onto(&self, residual: Tensor<3>, x: Tensor<3>) -> Tensor<3> {
        self.o_proj.forward_onto(residual, self.heads(x))
    }

    fn projections(&self) -> Vec<(&'static str, &Projection)> {
        vec![
            ("q_proj", &self.q_proj),
            ("k_proj", &self.k_proj),
            ("v_proj", &self.v_proj),
            ("o_proj", &self.o_proj),
        ]
    }

    fn projections_mut(&mut self) -> Vec<(&'static str, &mut Projection)> {
        vec![
            ("q_proj", &mut self.q_proj),
            ("k_proj", &mut self.k_proj),
            ("v_proj", &mut self.v_proj),
            ("o_proj", &mut self.o_proj),
        ]
    }
}
