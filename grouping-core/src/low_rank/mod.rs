//! Algebra of low-rank matrices that never forms them: sums of products `Σ wᵢ·Bᵢ·Aᵢ` by their factors.
//!
//! A `d_out × d_in` matrix of rank `n ≪ d` is handled through its factors `B [d_out, n]` and `A [n, d_in]`:
//! thin QR of each, then everything on the `n × n` core. Cost `O((d_out + d_in)·n²)`, memory `O((d_out + d_in)·n)`,
//! all of it in `f64` on one thread, so that the result does not depend on the number of threads: callers run
//! modules side by side.

mod gram;
mod projection;
mod stack;
mod subspace;
mod sum;
mod svd;

pub use gram::{Gram, column_gram, row_gram};
pub use subspace::{Span, norm_within};
pub use sum::LowRankSum;
pub use svd::ThinSvd;
