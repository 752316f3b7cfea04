//! The decoder of the Llama architecture (Touvron et al. 2023, §2.2), generic over its attention.
//!
//! A layer is `x + attention(rms_norm(x))`, then `x + mlp(rms_norm(x))` with the SwiGLU feed-forward
//! `mlp(x) = (silu(x·W_gate) ⊙ x·W_up)·W_down`; the logits are `rms_norm(x)·W_head`, with the embedding as head where tied.
//! Field paths equal the tensor names of Hugging Face's `LlamaForCausalLM`, `MistralForCausalLM` and `Qwen2ForCausalLM`.
//!
//! Deviation: weights start from N(0, 1/fan_in), those that write into the residual stream smaller by √(2·n_layers), where
//! the reference draws everything from N(0, 0.02²): a small decoder learns faster so.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

use super::attention::{Attention, SelfAttention};
use super::config::DecoderConfig;
use super::init::Initializer;
use super::projection::{Bias, Projection};
use super::rms_norm::RmsNorm;
use crate::kernels;

impl DecoderConfig {
    /// A decoder with random weights, all determined by `seed`; weights are made when first used.
    ///
    /// ```
    /// use burn::tensor::{Device, Int, Tensor};
    /// use grouping_core::nn::DecoderConfig;
    ///
    /// let device = Device::flex();
    /// let decoder = DecoderConfig::new(48, 32, 2, 4, 64).with_n_kv_heads(Some(2)).init(7, &device);
    /// let tokens = Tensor::<2, Int>::from_data([[1, 2, 3], [4, 5, 6]], &device);
    /// assert_eq!(decoder.forward(tokens).dims(), [2, 3, 48]);
    /// ```
    pub fn init(&self, seed: u64, device: &Device) -> Decoder {
        self.init_with(seed, device, SelfAttention::new)
    }

    /// As [`init`](Self::init), with the attention of each layer made by `attention(config, layer_idx, init)`.
    pub fn init_with<A: Attention>(
        &self,
        seed: u64,
        device: &Device,
        mut attention: impl FnMut(&DecoderConfig, usize, &mut Initializer) -> A,
    ) -> Decoder<A> {
        let mut init = Initializer::new(seed, device);
        let (vocab, hidden) = (self.vocab_size, self.hidden_size);
        let std = 1.0 / (hidden as f64).sqrt();
        let embed_tokens = Embedding { weight: init.normal([vocab, hidden], std) };
        let layers = (0..self.n_layers)
            .map(|layer_idx| DecoderLayer {
                input_layernorm: RmsNorm::new(hidden, self.rms_norm_eps, &mut init),
                self_attn: attention(self, layer_idx, &mut init),
                post_attention_layernorm: RmsNorm::new(hidden, self.rms_norm_eps, &mut init),
                mlp: Mlp::new(self, &mut init),
            })
            .collect();
        let norm = RmsNorm::new(hidden, self.rms_norm_eps, &mut init);
        let lm_head =
            (!self.tied_embeddings).then(|| Projection::new([hidden, vocab], std, Bias::None, &mut init));
        Decoder { model: DecoderModel { embed_tokens, layers, norm }, lm_head, config: self.clone() }
    }
}

/// A causal language model; see [the module](super).
#[derive(Module, Debug)]
pub struct Decoder<A = SelfAttention> {
    /// Embedding, layers and last norm.
    pub model: DecoderModel<A>,
    /// The head hidden → vocab; absent where the embedding serves.
    pub lm_head: Option<Projection>,
    #[module(skip)]
    config: DecoderConfig,
}

/// Embedding, layers and last norm of a [`Decoder`].
#[derive(Module, Debug)]
pub struct DecoderModel<A> {
    /// The token embedding.
    pub embed_tokens: Embedding,
    /// The layers in order.
    pub layers: Vec<DecoderLayer<A>>,
    /// The norm before the head.
    pub norm: RmsNorm,
}

/// A table of token vectors.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[vocab, hidden]`.
    pub weight: Param<Tensor<2>>,
}

/// One layer of a [`Decoder`].
#[derive(Module, Debug)]
pub struct DecoderLayer<A> {
    /// The norm before attention.
    pub input_layernorm: RmsNorm,
    /// The attention.
    pub self_attn: A,
    /// The norm before the feed-forward network.
    pub post_attention_layernorm: RmsNorm,
    /// The feed-forward network.
    pub mlp: Mlp,
}

/// The SwiGLU feed-forward network (Shazeer 2020, Eq. 6).
#[derive(Module, Debug)]
pub struct Mlp {
    /// hidden → ffn, through silu.
    pub gate_proj: Projection,
    /// hidden → ffn.
    pub up_proj: Projection,
    /// ffn → hidden.
    pub down_proj: Projection,
}

impl Mlp {
    fn new(config: &DecoderConfig, init: &mut Initializer) -> Self {
        let (hidden, ffn) = (config.hidden_size, config.ffn_size);
        let bias = Bias::from_flag(config.mlp_bias);
        let input_std = 1.0 / (hidden as f64).sqrt();
        let output_std = config.residual_scale() / (ffn as f64).sqrt();
        Self {
            gate_proj: Projection::new([hidden, ffn], input_std, bias, init),
            up_proj: Projection::new([hidden, ffn], input_std, bias, init),
            down_proj: Projection::new([ffn, hidden], output_std, bias, init),
        }
    }

    /// `x [.., hidden]` → the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.down_proj.forward(self.gated(x))
    }

    /// `residual + forward(x)`, all `[.., hidden]`.
    pub fn forward_onto<const D: usize>(&self, residual: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
        self.down_proj.forward_onto(residual, self.gated(x))
    }

    fn gated<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        kernels::swiglu(self.gate_proj.forward(x.clone()), self.up_proj.forward(x))
    }
}

impl<A: Attention> DecoderLayer<A> {
    /// The first half of the layer, `x + attention(rms_norm(x))`: `x [batch, seq, hidden]` → the same shape.
    pub(super) fn attend(&self, x: Tensor<3>) -> Tensor<3> {
        let normed = self.input_layernorm.forward(x.clone());
        self.self_attn.forward_onto(x, normed)
    }

    /// The second half of the layer, `x + mlp(rms_norm(x))`, for any rows `x [.., hidden]` of the residual stream.
    pub(super) fn feed_forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let normed = self.post_attention_layernorm.forward(x.clone());
        self.mlp.forward_onto(x, normed)
    }
}

impl<A: Attention> Decoder<A> {
    /// Shape and constants.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The device of its weights.
    pub fn device(&self) -> Device {
        self.model.embed_tokens.weight.lazy_device()
    }

    /// The residual stream after the last layer, before the last norm: `tokens [batch, seq]` → `[batch, seq, hidden]`.
    pub fn hidden_states(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.model.layers.iter().fold(self.embed(tokens), |x, layer| layer.feed_forward(layer.attend(x)))
    }

    /// The logits after every token: `tokens [batch, seq]` → `[batch, seq, vocab]`.
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [batch, seq] = tokens.dims();
        let x = self.hidden_states(tokens).reshape([batch * seq, self.config.hidden_size]);
        self.head(x).reshape([batch, seq, self.config.vocab_size])
    }

    /// The logits at the wanted places alone: `tokens [batch, seq]`, `places [n]` (each `batch_idx · seq + position`) → `[n, vocab]`.
    ///
    /// Past the last attention no token reads another, so only the wanted places go through the last feed-forward network.
    pub fn logits_at(&self, tokens: Tensor<2, Int>, places: Tensor<1, Int>) -> Tensor<2> {
        let [batch, seq] = tokens.dims();
        let at_places = |x: Tensor<3>| x.reshape([batch * seq, self.config.hidden_size]).select(0, places);
        let x = self.embed(tokens);
        let x = match self.model.layers.split_last() {
            None => at_places(x),
            Some((last, layers)) => {
                let x = layers.iter().fold(x, |x, layer| layer.feed_forward(layer.attend(x)));
                last.feed_forward(at_places(last.attend(x)))
            }
        };
        self.head(x)
    }

    pub(super) fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [batch, seq] = tokens.dims();
        let x = self.model.embed_tokens.weight.val().select(0, tokens.reshape([batch * seq]));
        x.reshape([batch, seq, self.config.hidden_size])
    }

    /// Every projection of the layers with its full name, as `model.layers.0.self_attn.q_proj`.
    pub fn projections(&self) -> Vec<(String, &Projection)> {
        let mut all = Vec::new();
        for (layer_idx, layer) in self.model.layers.iter().enumerate() {
            let attention = layer.self_attn.projections().into_iter().map(|(name, p)| ("self_attn", name, p));
            let mlp = &layer.mlp;
            let mlp =
                [("gate_proj", &mlp.gate_proj), ("up_proj", &mlp.up_proj), ("down_proj", &mlp.down_proj)];
            let mlp = mlp.into_iter().map(|(name, p)| ("mlp", name, p));
            all.extend(attention.chain(mlp).map(|(part, name, p)| (full_name(layer_idx, part, name), p)));
        }
        all
    }

    /// As [`projections`](Self::projections), to attach or fold updates of low rank.
    pub fn projections_mut(&mut self) -> Vec<(String, &mut Projection)> {
        let mut all = Vec::new();
        for (layer_idx, layer) in self.model.layers.iter_mut().enumerate() {
            let attention = layer.self_attn.projections_mut();
            let attention = attention.into_iter().map(|(name, p)| ("self_attn", name, p));
            let mlp = &mut layer.mlp;
            let mlp = [
                ("gate_proj", &mut mlp.gate_proj),
                ("up_proj", &mut mlp.up_proj),
                ("down_proj", &mut mlp.down_proj),
            ];
            let mlp = mlp.into_iter().map(|(name, p)| ("mlp", name, p));
            all.extend(attention.chain(mlp).map(|(part, name, p)| (full_name(layer_idx, part, name), p)));
        }
        all
    }

    pub(super) fn head(&self, x: Tensor<2>) -> Tensor<2> {
        let x = self.model.norm.forward(x);
        match &self.lm_head {
            Some(head) => head.forward(x),
            None => x.matmul(self.model.embed_tokens.weight.val().transpose()),
        }
    }
}

fn full_name(layer_idx: usize, part: &str, name: &str) -> String {
    format!("model.layers.{layer_idx}.{part}.{name}")
}
