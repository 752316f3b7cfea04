//! Decoders of the Llama family with grouped attention in place of their own, and text from them.
//!
//! [`read_decoder`] reads a Hugging Face folder or a llama2.c checkpoint, with the sizes of its groups where a `kd_gqa.json` lies
//! beside; [`LanguageModel`] adds the tokenizer and continues text.

mod attention;
mod language_model;

use std::path::Path;

use burn::tensor::Device;
use grouping_core::files::tensor_file::has_names;
use grouping_core::nn::{Decoder, DecoderConfig, Initializer, read_llama_with, read_llama2c_with};

pub use attention::{GroupedSelfAttention, LayerCache};
pub use language_model::{Completion, LanguageModel, TextEvent};

use crate::allocation::AllocationState;
use crate::checkpoint::Checkpoint;
use crate::{Error, Result};

/// A decoder whose layers may group their heads each in its own way.
pub type GroupedDecoder = Decoder<GroupedSelfAttention>;

/// Reads a decoder: `path` is a folder of the Llama family, or a checkpoint of llama2.c. The groups are those of
/// [`Checkpoint::groups`].
///
/// # Errors
/// Those of [`Checkpoint::open`], [`Error::FileField`](grouping_core::Error::FileField) of a vision transformer, [`Error::Core`] of what the readers of
/// [`grouping_core::nn`] refuse.
pub fn read_decoder(path: &Path, device: &Device) -> Result<GroupedDecoder> {
    let refuse = |found: &str| {
        let expected = "a folder of the Llama family with config.json, or a .bin of llama2.c";
        Err(Error::format(path, "model", expected, found))
    };
    if path.is_file() && has_names(path)? {
        return refuse("a file of safetensors or of torch.save");
    }
    let checkpoint = Checkpoint::open(path)?;
    if checkpoint.dialect().is_vit() {
        return refuse(checkpoint.dialect().label());
    }
    // What an allocation saved is not needed here, and a damaged one is refused all the same.
    AllocationState::of(&checkpoint)?;
    let attention = |config: &DecoderConfig, layer_idx: usize, init: &mut Initializer| {
        GroupedSelfAttention::new(config, layer_idx, &checkpoint.groups()[layer_idx], init)
    };
    Ok(if checkpoint.header().is_some() {
        read_llama2c_with(path, device, attention)?
    } else {
        read_llama_with(path, device, attention)?
    })
}
