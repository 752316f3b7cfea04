//! What activations on calibration data say about heads: how far apart they are, how to turn them towards each other, how strong they are.

mod gram;

pub use gram::HeadGram;
