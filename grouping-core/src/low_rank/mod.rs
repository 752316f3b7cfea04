//! Algebra of low-rank matrices that never forms them: sums of products `Σ wᵢ·Bᵢ·Aᵢ` by their factors.
//!
//! A `d_out × d_in` matrix of rank `n ≪ d` is handled through its factors `B [d_out, n]` and `A [n, d_in]`:
//! one Gram matrix of each, then everything on `n × n` matrices, and one product with the factors for a result.
//! Cost `O((d_out + d_in)·n²)`, memory `O(n²)` beside the factors and the result, all of it in `f64` on one thread, so that
//! the result does not depend on the number of threads: callers run modules side by side. A matrix that is not of low rank is given by row tiles
//! and approximated ([`truncate`]).

mod basis;
mod combine;
mod cross;
mod gram;
mod krylov;
mod projection;
mod stack;
mod subspace;
mod sum;
mod svd;
mod tiles;

pub use basis::Basis;
pub use combine::{combine_columns, combine_rows};
pub use gram::{Gram, column_gram, row_gram};
pub use krylov::{Truncation, truncate};
pub use subspace::{Span, norm_within};
pub use sum::{Grams, LowRankSum};
pub use svd::ThinSvd;
pub use tiles::RowTiles;
