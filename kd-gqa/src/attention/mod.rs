//! Attention over groups of query heads of any sizes (Ainslie et al. 2023, "GQA", §2.2), without repeating or copying a key or value head.
//!
//! For group g with the query heads `Q₁ … Q_s` stacked as the rows of one matrix: `softmax(Q·K_gᵀ·scale + mask)·V_g`.
//!
//! Shapes: `q [batch, H, seq_q, head_dim]`, `k` and `v [batch, G, seq_k, head_dim]` → `[batch, H, seq_q, head_dim]`.
//!
//! The attention itself is the core's ([`grouped_attention()`]); here are the module with its projections, its hooks and its cache.

mod cache;
mod call;
mod module;

pub use grouping_core::kernels::{AttentionOptions, Visibility, grouped_attention};

pub use cache::KvCache;
pub use call::AttentionCall;
pub use module::{GroupedAttention, GroupedAttentionConfig, Hook};

use crate::Error;

fn shape(name: &'static str, expected: &[usize], found: &[usize]) -> Error {
    Error::setting(name, format!("shape {expected:?}"), format!("{found:?}"))
}
