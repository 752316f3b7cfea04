//! Files in and out: tensors of any of the ecosystem's containers and the names they go by, JSON fields, bounded text, and outputs
//! that appear whole or not at all.

pub mod json;
pub mod llama2c;
pub mod model_config;
pub mod output;
pub mod source;
pub mod spelling;
pub mod tensor_file;
pub mod text;
