//! Integration tests: goldens from the reference code, properties, malformed inputs.

mod device;
mod kernels;
mod low_rank;
