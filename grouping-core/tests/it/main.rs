//! Integration tests: goldens from the reference code, properties, malformed inputs.

mod cluster;
mod device;
mod kernels;
mod krylov;
mod low_rank;
mod nn;
mod norms;
mod train;
