//! Statistics of arrays that are read once: norms, moments, peaks, order statistics, and means that run along.

pub(crate) mod finite;
pub mod magnitude;
pub mod norms;
pub mod peaks;
pub mod running;
