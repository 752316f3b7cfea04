//! The networks of learned image codecs as Burn modules, for inference.

mod blocks;
mod convolution;
mod planes;
mod reach;
mod sequence;

pub use blocks::{Activation, Attention, Gdn, Narrow, Residual, ResidualDown, ResidualUp, Step, Subpel};
pub use convolution::{Conv, Deconv};
pub use planes::Planes;
pub(crate) use planes::put_rows;
pub(crate) use sequence::Runner;
pub use sequence::Sequence;
