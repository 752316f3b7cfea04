//! A decoder of the Llama architecture, generic over its attention, and its checkpoints.
//!
//! [`DecoderConfig`] makes a [`Decoder`] with random weights, [`read_llama`] reads one from a Hugging Face folder and
//! [`write_llama`] writes it. [`LowRank`] updates on its projections train over frozen weights.

mod attention;
mod decoder;
mod init;
mod llama;
mod projection;
mod rms_norm;
pub mod weights;

pub use attention::{Attention, SelfAttention};
pub use decoder::{Decoder, DecoderConfig, DecoderLayer, DecoderModel, Embedding, Mlp};
pub use init::Initializer;
pub use llama::{read_llama, read_llama_config, read_llama_with, write_llama};
pub use projection::{Bias, LowRank, Projection};
pub use rms_norm::RmsNorm;
