//! Fused operations of transformers: linear products, RMSNorm and layer norm, attention (rotary causal, and grouped with any sizes),
//! SwiGLU, GELU and cross-entropy; and of convolutional networks: convolution, transposed convolution and divisive normalisation.
//!
//! Each operation has two forms with one meaning. On the CPU backend and in f32 it is one pass over plain slices,
//! compiled for several instruction sets and chosen at run time, with a backward pass of its own. On every other
//! device or float type it is `composed` from Burn's tensor operations, which Burn differentiates. The public
//! function of each module picks the form by [`fused_op!`](crate::fused_op), which records it in the graph, too, and serves operations of other
//! crates; both forms are public, so that one can be measured against the other.
//!
//! Matrix products are faer's; convolutions have register tiles of their own. The step of AdamW, which has no gradient, serves the optimiser in `train`.
//!
//! The CPU form cuts its work into chunks whose size depends on the shape alone and reduces partial sums in the
//! order of the chunks: results are the same bytes for any number of threads.

pub mod buffer;
pub mod fused;

#[cfg(feature = "train")]
pub(crate) mod adamw;
pub mod conv;
pub mod cross_entropy;
pub mod gdn;
pub mod gelu;
pub mod grouped_attention;
pub mod layer_norm;
pub mod linear;
pub mod rms_norm;
pub mod rope_attention;
pub mod swiglu;

pub use conv::{Algorithm, ConvOptions, Rectifier, conv_transpose2d, conv2d, conv2d_onto};
pub use cross_entropy::cross_entropy;
pub use fused::FusedOp;
pub use gdn::gdn;
pub use gelu::gelu;
pub use grouped_attention::{AttentionOptions, Visibility, grouped_attention};
pub use layer_norm::layer_norm;
pub use linear::{linear, linear_biased, linear_biased_onto, linear_onto};
pub use rms_norm::rms_norm;
pub use rope_attention::{Rope, RopeAttention, RopeScaling, rope_attention, rotate};
pub use swiglu::swiglu;
