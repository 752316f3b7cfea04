//! Layers of transformers; a decoder of the Llama architecture, generic over its attention, its checkpoints, and generation of text.
//!
//! [`DecoderConfig`] makes a [`Decoder`] with random weights, [`read_llama`] reads one from a Hugging Face folder (Llama, Mistral
//! or Qwen2) and [`write_llama`] writes it, [`read_llama2c`] and [`write_llama2c`] do so with files of llama2.c. [`generate`] continues
//! a text with a cache of keys and values. [`LowRank`] updates on its projections train over frozen weights.
//!
//! [`EncoderBlock`] is a layer of an encoder over any attention, [`patches`] what a vision transformer reads.

mod attention;
mod cached;
mod config;
mod decoder;
mod encoder;
mod generate;
mod init;
mod layer_norm;
mod llama;
mod llama2c;
mod patches;
mod projection;
mod rms_norm;
mod sampling;
pub mod weights;

pub use attention::{Attention, SelfAttention};
pub use cached::{AttentionCache, CachedAttention, KeyValueCache};
pub use config::{DecoderConfig, Family};
pub use decoder::{Decoder, DecoderLayer, DecoderModel, Embedding, Mlp};
pub use encoder::{EncoderBlock, FeedForward};
pub use generate::{Generation, GenerationConfig, GenerationEvent, Stop, generate};
pub use init::Initializer;
pub use layer_norm::LayerNorm;
pub use llama::{read_llama, read_llama_config, read_llama_with, write_llama};
pub use llama2c::{read_llama2c, read_llama2c_with, write_llama2c};
pub use patches::patches;
pub use projection::{Bias, LowRank, Projection};
pub use rms_norm::RmsNorm;
