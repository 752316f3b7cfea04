//! Integration tests: goldens from the reference code, properties, malformed inputs.

mod cluster;
mod low_rank;
mod norms;
