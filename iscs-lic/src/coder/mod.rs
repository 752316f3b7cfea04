//! The entropy coder: cumulative tables of integer symbols, and rANS streams of them, byte for byte CompressAI's.
//!
//! - [`Tables`] come from a checkpoint's buffers ([`Tables::from_parts`]), from scales ([`Tables::gaussian`]) or from a learned prior
//!   ([`Tables::factorized`]); `row` of a symbol is the table that codes it.
//! - [`encode`] and [`decode`] take all symbols at once, [`Encoder`] and [`Decoder`] piece by piece.
//! - [`scale_index`] chooses a Gaussian table; [`SCALES`] are those of CompressAI's models.
//!
//! Nothing here depends on the machine: integers, and the four operations of IEEE 754 (`special.rs`).

mod cumulative;
mod decode;
mod encode;
mod factorized;
mod gaussian;
mod rans;
mod scales;
mod special;
mod tables;
mod vectorised;

pub use decode::{Decoder, decode};
pub use encode::{Encoder, encode};
pub use factorized::FactorizedPrior;
pub use gaussian::normal_interval;
pub use scales::{SCALES, scale_index};
pub use tables::Tables;
