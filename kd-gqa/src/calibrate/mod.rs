//! What activations on calibration data say about heads: how far apart they are, how to turn them towards each other, how strong they are,
//! and how many query heads each gets by a method of [`allocation`](crate::allocation).
//!
//! The measures are plain data; running a model to fill them needs the feature `model`.

mod activations;
mod align;
#[cfg(feature = "model")]
mod allocate;
#[cfg(feature = "model")]
mod decoder;
mod gram;
#[cfg(feature = "model")]
mod vit;

pub use activations::{Calibration, LayerActivations};
pub use align::{Maps, align, distances};
#[cfg(feature = "model")]
pub use allocate::allocate_vit;
#[cfg(feature = "model")]
pub use decoder::calibrate_decoder;
pub use gram::HeadGram;
#[cfg(feature = "model")]
pub use vit::{BATCH, calibrate_vit};
