//! Tests of the crate as its users see it.

mod ablation;
mod analyze;
#[cfg(unix)]
mod bounds;
mod channels;
mod checkpoints;
mod classic;
mod codec;
mod coder;
mod commands;
mod compare;
mod containers;
#[cfg(feature = "wgpu")]
mod device;
mod fixed;
mod fixed_priors;
mod fixture;
mod lab;
mod networks;
mod pictures;
mod plans;
mod prune;
mod readme;
mod recipe;
mod reorder;
mod tables;
