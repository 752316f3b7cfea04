//! PEFT's keys: `base_model.model.<module>.lora_A.weight`, `.lora_B.weight`, `.lora_B.bias`, `.lora_magnitude_vector`,
//! `.lora_embedding_A`, `.lora_embedding_B`, and whole tensors under their own name.

use super::{Meaning, Part};
use crate::adapter::{LoraModule, ModuleKind};

/// What PEFT puts before every module's name in the file.
pub(crate) const PREFIX: &str = "base_model.model.";

pub(crate) fn meaning(key: &str) -> Meaning {
    let Some(name) = key.strip_prefix(PREFIX) else {
        return Meaning::Refused("PEFT's names begin with base_model.model.");
    };
    let parts = [
        (".lora_A.weight", Part::A),
        (".lora_B.weight", Part::B),
        (".lora_B.bias", Part::Bias),
        (".lora_magnitude_vector", Part::Magnitude),
        (".lora_magnitude_vector.weight", Part::Magnitude),
    ];
    for (suffix, part) in parts {
        if let Some(module) = name.strip_suffix(suffix) {
            return Meaning::Part(module.into(), part);
        }
    }
    for (suffix, part) in [(".lora_embedding_A", Part::A), (".lora_embedding_B", Part::B)] {
        if let Some(module) = name.strip_suffix(suffix) {
            return Meaning::OfEmbedding(module.into(), part);
        }
    }
    if name.contains(".lora_") {
        Meaning::Refused(
            "only factors of linear layers, convolutions and embeddings, their biases and magnitudes are read",
        )
    } else if name.ends_with(".base_layer.bias") {
        Meaning::Refused("trained biases of the base model would be lost")
    } else if name.contains("token_adapter") {
        Meaning::Refused("token updates are not read")
    } else {
        Meaning::Head(name.into())
    }
}

pub(crate) fn key(module: &LoraModule, part: Part) -> Option<String> {
    let embedding = module.kind == ModuleKind::Embedding;
    let suffix = match part {
        Part::A if embedding => "lora_embedding_A",
        Part::B if embedding => "lora_embedding_B",
        Part::A => "lora_A.weight",
        Part::B => "lora_B.weight",
        Part::Bias if embedding => return None,
        Part::Bias => "lora_B.bias",
        Part::Magnitude => "lora_magnitude_vector",
        Part::Alpha => return None,
    };
    Some(format!("{PREFIX}{}.{suffix}", module.name))
}
