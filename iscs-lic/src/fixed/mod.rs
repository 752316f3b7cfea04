//! Integer networks: the same symbols and the same pixels on every machine.
//!
//! What decides a symbol's table or mean ([`Prior`]), and what makes the picture ([`Synthesis`]), is computed in integers here.
//! `docs/formats/fixed.md` defines the arithmetic to the bit. Activations are `i32` with 12 fractional bits, weights have 8 bits (symbols) or
//! 12 bits (pixels) and a step a channel, sums are exact, and one rounding rule turns them into activations. Instruction sets,
//! threads, tiles and bands change no bit; graphics processors have no part in it.

mod analysis;
mod build;
mod conv;
mod grid;
mod kernel;
mod limbs;
mod network;
mod normalise;
mod parameters;
mod prior;
mod quantise;
mod requantise;
mod rounding;
mod selftest;
mod sigmoid;
mod synthesis;

pub use analysis::{Analysis, Latents};
pub use kernel::Form;
pub use prior::{Ask, Prior, Symbols};
pub use rounding::{FRACTION_BITS, LIMIT};
pub use selftest::{Check, Digest, selftest, selftest_with};
pub use synthesis::Synthesis;
