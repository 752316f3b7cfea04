//! The part of the decoder that a method may replace: causal self-attention.
//!
//! [`SelfAttention`] is grouped-query attention (Ainslie et al. 2023) with rotary positions (Su et al. 2021, in the
//! half-split layout of Hugging Face's Llama): `softmax(rope(q)·rope(k)ᵀ/√head_dim)·v`, where n_heads / n_kv_heads query heads
//! share one key and one value head. With a sliding window of w (Beltagy et al. 2020, §3.1), a token sees itself and the w − 1 before
//! it.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;

use super::config::DecoderConfig;
use super::init::Initializer;
use super::projection::{Bias, Projection};
use crate::kernels::{
    AttentionOptions, RopeAttention, Visibility, grouped_attention, rope_attention, rotate,
};

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

    /// What neither its tensors nor the decoder's configuration say, so that it would not be read back as it is; in most cases nothing.
    fn unsaid(&self) -> Option<String> {
        None
    }
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
    pub(super) shape: RopeAttention,
    #[module(skip)]
    pub(super) window: Option<usize>,
}

impl SelfAttention {
    /// The attention of layer `layer_idx` of `config`.
    pub fn new(config: &DecoderConfig, layer_idx: usize, init: &mut Initializer) -> Self {
        let (hidden, head_dim) = (config.hidden_size, config.head_dim());
        let (q_size, kv_size) = (config.n_heads * head_dim, config.n_kv_heads() * head_dim);
        let (bias, output_bias) = (Bias::from_flag(config.qkv_bias()), Bias::from_flag(config.output_bias()));
        let input_std = 1.0 / (hidden as f64).sqrt();
        let output_std = config.residual_scale() / (q_size as f64).sqrt();
        Self {
            q_proj: Projection::new([hidden, q_size], input_std, bias, init),
            k_proj: Projection::new([hidden, kv_size], input_std, bias, init),
            v_proj: Projection::new([hidden, kv_size], input_std, bias, init),
            o_proj: Projection::new([q_size, hidden], output_std, output_bias, init),
            shape: RopeAttention::new(config.n_heads, config.n_kv_heads(), head_dim)
                .with_theta(config.rope_theta)
                .with_scaling(config.rope_scaling),
            window: config.window(layer_idx),
        }
    }
}

impl SelfAttention {
    /// What the heads read, side by side: `x [batch, seq, hidden]` → `[batch, seq, n_heads · head_dim]`.
    fn heads(&self, x: Tensor<3>) -> Tensor<3> {
        if self.window.is_some_and(|window| window < x.dims()[1]) {
            let [q, k, v] = self.turned(x, 0);
            return self.attend(q, k, v);
        }
        let q = self.q_proj.forward(x.clone());
        let k = self.k_proj.forward(x.clone());
        let v = self.v_proj.forward(x);
        rope_attention(q, k, v, &self.shape)
    }

    /// Queries, keys and values `[batch, their heads, seq, head_dim]` of the tokens from position `first` on, queries and keys turned.
    pub(super) fn turned(&self, x: Tensor<3>, first: usize) -> [Tensor<4>; 3] {
        let [batch, seq, _] = x.dims();
        let RopeAttention { n_heads, n_kv_heads, head_dim, .. } = self.shape;
        let split = |projection: &Projection, n_heads: usize| {
            projection.forward(x.clone()).reshape([batch, seq, n_heads, head_dim]).swap_dims(1, 2)
        };
        let turn = |heads: Tensor<4>| rotate(heads, &self.shape.rope(), first);
        [
            turn(split(&self.q_proj, n_heads)),
            turn(split(&self.k_proj, n_kv_heads)),
            split(&self.v_proj, n_kv_heads),
        ]
    }

    /// Attention of the last queries over turned keys, heads side by side: `[batch, seq, n_heads · head_dim]`.
    pub(super) fn attend(&self, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<3> {
        let [batch, n_heads, seq, head_dim] = q.dims();
        let visibility = self.window.map_or(Visibility::Causal, Visibility::Window);
        let groups = vec![n_heads / self.shape.n_kv_heads; self.shape.n_kv_heads];
        let options = AttentionOptions::new().with_visibility(visibility);
        let out = grouped_attention(q, k, v, &groups, &options).expect("the module's own groups fit");
        out.swap_dims(1, 2).reshape([batch, seq, n_heads * head_dim])
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
