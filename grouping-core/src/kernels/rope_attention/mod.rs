//! Causal attention with rotary positions and grouped heads, as in Llama.
//!
//! Rotary positions (Su et al. 2021, "RoFormer", §3.2.2) in the half-split layout of Hugging Face's Llama: entries j and
//! j + d/2 of a head turn by the angle `position · θ^(−2j/d)`, or slower by a [`RopeScaling`]. Then, for each head with the keys and values of its group
//! (Ainslie et al. 2023, "GQA", §2.2): `softmax(Q·Kᵀ/√d + causal mask)·V`.
//!
//! Shapes: `q [batch, seq, n_heads·head_dim]`, `k` and `v [batch, seq, n_kv_heads·head_dim]` → the shape of `q`.
//!
//! Deviation: angles are computed in f64 and their cosines rounded once, where Hugging Face's are f32 throughout.

mod backward;
mod cpu;
mod product;
mod rotary;
mod scaling;
mod turn;

use burn::tensor::{Bool, Tensor, activation};

use rotary::Rotary;
pub use scaling::RopeScaling;
pub use turn::{Rope, rotate};

use crate::fused_op;

/// The heads of an attention layer and its rotary positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RopeAttention {
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads, a divisor of `n_heads`: head h reads the keys and values of head `h·n_kv_heads/n_heads`.
    pub n_kv_heads: usize,
    /// Entries of one head, an even number.
    pub head_dim: usize,
    /// Base θ of the rotary frequencies.
    pub theta: f64,
    /// How the frequencies are stretched.
    pub scaling: RopeScaling,
    /// Position of the first token of each sequence.
    pub first_position: usize,
}

impl RopeAttention {
    /// Heads with θ = 10 000, unscaled, and positions from 0.
    pub fn new(n_heads: usize, n_kv_heads: usize, head_dim: usize) -> Self {
        let (theta, scaling) = (10_000.0, RopeScaling::None);
        Self { n_heads, n_kv_heads, head_dim, theta, scaling, first_position: 0 }
    }

    /// Sets the base of the rotary frequencies.
    #[must_use]
    pub fn with_theta(self, theta: f64) -> Self {
        Self { theta, ..self }
    }

    /// Sets how the frequencies are stretched.
    #[must_use]
    pub fn with_scaling(self, scaling: RopeScaling) -> Self {
        Self { scaling, ..self }
    }

    /// Sets the position of the first token.
    #[must_use]
    pub fn with_first_position(self, first_position: usize) -> Self {
        Self { first_position, ..self }
    }

    /// The frequencies alone.
    pub fn rope(&self) -> Rope {
        Rope { theta: self.theta, scaling: self.scaling }
    }

    fn rotary(&self, seq: usize) -> Rotary {
        self.rope().rotary(self.head_dim, self.first_position, seq)
    }

    fn check(&self, q: &Tensor<3>, k: &Tensor<3>, v: &Tensor<3>) {
        let Self { n_heads, n_kv_heads, head_dim, .. } = *self;
        assert!(
            n_kv_heads > 0 && n_heads > 0 && n_heads % n_kv_heads == 0,
            "rope_attention: {n_heads} heads cannot share {n_kv_heads} key heads evenly"
        );
        assert!(
            head_dim > 0 && head_dim % 2 == 0,
            "rope_attention: head_dim {head_dim} is not a positive even number"
        );
        let [batch, seq, _] = q.dims();
        assert_eq!(
            q.dims(),
            [batch, seq, n_heads * head_dim],
            "rope_attention: q must be [batch, seq, n_heads * head_dim]"
        );
        for (name, dims) in [("k", k.dims()), ("v", v.dims())] {
            assert_eq!(
                dims,
                [batch, seq, n_kv_heads * head_dim],
                "rope_attention: {name} must be [batch, seq, n_kv_heads * head_dim]"
            );
        }
    }
}

/// Causal attention of `q [batch, seq, n_heads·head_dim]` over `k` and `v [batch, seq, n_kv_heads·head_dim]`.
///
/// The rotary positions are applied to `q` and `k` here; the result has the shape of `q`.
///
/// # Panics
/// If a shape does not fit `config`, `n_kv_heads` does not divide `n_heads`, or `head_dim` is odd or 0.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use grouping_core::kernels::{RopeAttention, rope_attention};
///
/// let device = Device::flex();
/// let q = Tensor::<3>::ones([1, 2, 4], &device);
/// let k = Tensor::<3>::zeros([1, 2, 2], &device);
/// let v = Tensor::<3>::from_floats([[[1.0, 2.0], [3.0, 4.0]]], &device);
/// // Keys of zero weigh all visible tokens alike; both query heads share one key head.
/// let out = rope_attention(q, k, v, &RopeAttention::new(2, 1, 2));
/// let out = out.into_data().try_into_vec::<f32>().unwrap();
/// assert_eq!(out, [1.0, 2.0, 1.0, 2.0, 2.0, 3.0, 2.0, 3.0]);
/// ```
pub fn rope_attention(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, config: &RopeAttention) -> Tensor<3> {
    config.check(&q, &k, &v);
    fused_op!(*config, [q, k, v], composed(q, k, v, config))
}

/// [`rope_attention`] from Burn's tensor operations: any device, any float type.
pub fn composed(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, config: &RopeAttention) -> Tensor<3> {
    config.check(&q, &k, &v);
    let [batch, seq, width] = q.dims();
    let (heads, kv_heads, dim) = (config.n_heads, config.n_kv_heads, config.head_dim);
    let rotate = |x: Tensor<4>| rotate(x, &config.rope(), config.first_position);
    // [batch, seq, kv_heads·dim] → [batch, heads, seq, dim], each key head repeated for the heads of its group.
    let spread = |x: Tensor<3>| {
        x.reshape([batch, seq, kv_heads, 1, dim])
            .expand([batch, seq, kv_heads, heads / kv_heads, dim])
            .reshape([batch, seq, heads, dim])
            .swap_dims(1, 2)
    };
    let q = rotate(q.reshape([batch, seq, heads, dim]).swap_dims(1, 2));
    let (k, v) = (rotate(spread(k)), spread(v));
    let scores = q.matmul(k.swap_dims(2, 3)) / (dim as f64).sqrt();
    let hidden = Tensor::<2, Bool>::tril_mask([seq, seq], 0, &scores.device().without_autodiff()).unsqueeze();
    let weights = activation::softmax(scores.mask_fill(hidden, f32::NEG_INFINITY), 3);
    weights.matmul(v).swap_dims(1, 2).reshape([batch, seq, width])
}
