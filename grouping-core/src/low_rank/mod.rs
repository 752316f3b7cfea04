//! Algebra of low-rank matrices that never forms them: sums of products `Σ wᵢ·Bᵢ·Aᵢ` by their factors.
//!
//! A `d_out × d_in` matrix of rank `n ≪ d` is handled through its factors `B [d_out, n]` and `A [n, d_in]`:
//! thin QR of each, then everything on the `n × n` core. Cost `O((d_out + d_in)·n²)`, memory `O((d_out + d_in)·n)`,
//! all of it in `f64` on one thread, so that the result does not depend on the number of threads: callers run
//! modules side by side. A matrix that is not of low rank is given by row tiles and approximated ([`truncate`]).

mod gram;
mod krylov;
mod projection;
mod stack;
mod subspace;
mod sum;
mod svd;
mod tiles;

pub use gram::{Gram, column_gram, row_gram};
pub use krylov::{Truncation, truncate};
pub use subspace::{Span, norm_within};
pub use sum::LowRankSum;
pub use svd::ThinSvd;
pub use tiles::RowTiles;
