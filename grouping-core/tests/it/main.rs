//! Integration tests: goldens from the reference code, properties, malformed inputs.

mod apportion;
mod cluster;
mod conv;
mod correlation;
mod device;
mod fused_op;
mod generation;
mod grouped_attention;
mod image;
mod kernels;
mod krylov;
mod low_rank;
mod model_files;
mod neighbours;
mod nn;
mod norms;
mod procrustes;
mod running;
mod score;
mod tensor_file;
mod train;
