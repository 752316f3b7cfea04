//! Shape and constants of a decoder.

use burn::config::Config;

pub use crate::files::model_config::Family;
use crate::kernels::{Rope, RopeScaling};

/// Shape and constants of a [`Decoder`](super::Decoder).
#[derive(Config, Debug, PartialEq)]
pub struct DecoderConfig {
    /// Number of tokens.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of layers.
    pub n_layers: usize,
    /// Number of query heads.
    pub n_heads: usize,
    /// Width of the feed-forward network.
    pub ffn_size: usize,
    /// Number of key and value heads; absent, that of query heads. It divides `n_heads`.
    pub n_kv_heads: Option<usize>,
    /// Size of a head, even; absent, `hidden_size / n_heads`.
    pub head_dim: Option<usize>,
    /// Base θ of the rotary frequencies θ^(−2i/head_dim).
    #[config(default = 10000.0)]
    pub rope_theta: f64,
    /// ε of the norms.
    #[config(default = 1e-6)]
    pub rms_norm_eps: f64,
    /// The longest sequence a file says the model was made for; informative, never enforced here.
    #[config(default = 2048)]
    pub max_positions: usize,
    /// The embedding is the head, too.
    #[config(default = true)]
    pub tied_embeddings: bool,
    /// Biases on q, k, v and o; the family Qwen2 has them on q, k and v whatever is said here.
    #[config(default = false)]
    pub attention_bias: bool,
    /// Biases in the feed-forward network.
    #[config(default = false)]
    pub mlp_bias: bool,
    /// Whose checkpoints it reads and writes.
    #[config(default = "Family::Llama")]
    pub family: Family,
    /// How the rotary frequencies are stretched.
    #[config(default = "RopeScaling::None")]
    pub rope_scaling: RopeScaling,
    /// Tokens that a token sees, itself among them; absent, all up to itself.
    pub sliding_window: Option<usize>,
    /// The layers without the sliding window, ascending.
    #[config(default = "Vec::new()")]
    pub full_attention_layers: Vec<usize>,
}

impl DecoderConfig {
    /// Number of key and value heads.
    pub fn n_kv_heads(&self) -> usize {
        self.n_kv_heads.unwrap_or(self.n_heads)
    }

    /// Size of a head.
    pub fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.n_heads.max(1))
    }

    /// Whether q, k and v have biases.
    pub fn qkv_bias(&self) -> bool {
        self.attention_bias || self.family == Family::Qwen2
    }

    /// Whether o has a bias.
    pub fn output_bias(&self) -> bool {
        self.attention_bias && self.family != Family::Qwen2
    }

    /// The rotary frequencies.
    pub fn rope(&self) -> Rope {
        Rope { theta: self.rope_theta, scaling: self.rope_scaling }
    }

    /// Tokens that a token sees in layer `layer_idx`, itself among them; absent, all up to itself.
    pub fn window(&self, layer_idx: usize) -> Option<usize> {
        self.sliding_window.filter(|_| !self.full_attention_layers.contains(&layer_idx))
    }

    /// What the spread of a weight that writes into the residual stream is multiplied by.
    pub fn residual_scale(&self) -> f64 {
        1.0 / (2.0 * self.n_layers as f64).sqrt()
    }
}
