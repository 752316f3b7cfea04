//! The experiment bed `gqa-lab`: procedural images, a small vision transformer trained on them, and what conversion leaves of it.

pub mod bed;
pub mod cifar;
mod command;
pub mod images;
pub mod score;

pub use command::run;
