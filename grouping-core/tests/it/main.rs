//! Integration tests: goldens from the reference code, properties, malformed inputs.

mod kernels;
mod low_rank;
mod nn;
mod train;
