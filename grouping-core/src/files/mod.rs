//! Files in and out: tensors of any of the ecosystem's containers, bounded text, and outputs that appear whole or not at all.

pub mod output;
pub mod tensor_file;
pub mod text;
