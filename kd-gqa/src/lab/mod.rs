//! The experiment bed `gqa-lab`: procedural images, and a small vision transformer trained on them.

pub mod cifar;
mod command;
pub mod images;

pub use command::run;
