//! Keys of kohya's files: an id with underscores, then `.lora_down.weight`, `.lora_up.weight`, `.alpha`, `.dora_scale`.
//!
//! The id is `lora_unet_`, `lora_te_`, `lora_te1_` or `lora_te2_` before the module's name with every dot made an underscore. The scale is
//! `α / r`, and 1 where there is no `α`. Ids that [`super::stable_diffusion`] does not know stay as they are.

use super::{Components, Meaning, Part, component, diffusers, stable_diffusion};
use crate::adapter::{LoraModule, ModuleKind};

const PARTS: [(&str, Part); 4] = [
    (".lora_down.weight", Part::A),
    (".lora_up.weight", Part::B),
    (".alpha", Part::Alpha),
    (".dora_scale", Part::Magnitude),
];

/// What is told of the other inventions that share the ids.
const OTHER_METHODS: [&str; 11] = [
    "lora_mid",
    "hada_",
    "lokr_",
    "glora_",
    "oft_",
    "boft_",
    "ia3",
    ".diff",
    "w_norm",
    "b_norm",
    "set_weight",
];

/// Whether a key can only be kohya's.
pub(crate) fn is_key(key: &str) -> bool {
    [".lora_down.", ".lora_up.", ".lora_mid.", ".hada_", ".lokr_"].iter().any(|ending| key.contains(ending))
}

pub(crate) fn meaning(key: &str) -> Meaning {
    for (ending, part) in PARTS {
        if let Some(id) = key.strip_suffix(ending).filter(|id| !id.is_empty()) {
            return Meaning::Part(unfold(id).unwrap_or_else(|| id.into()), part);
        }
    }
    if OTHER_METHODS.iter().any(|word| key.contains(word)) {
        Meaning::Refused("it belongs to another method than LoRA")
    } else {
        Meaning::Refused("this is no key of a LoRA of kohya")
    }
}

/// The full name that an id stands for, where it is known.
fn unfold(id: &str) -> Option<String> {
    if let Some(rest) = id.strip_prefix("lora_unet_") {
        return stable_diffusion::unfold_unet(rest).map(|name| format!("unet.{name}"));
    }
    let encoders = [("lora_te_", ""), ("lora_te1_", ""), ("lora_te2_", "_2"), ("lora_te3_", "_3")];
    encoders.iter().find_map(|(prefix, number)| {
        let name = stable_diffusion::unfold_text_encoder(id.strip_prefix(prefix)?)?;
        Some(format!("text_encoder{number}.{name}"))
    })
}

/// Whether a module's name is an id that could not be unfolded.
pub(crate) fn is_folded(module: &str) -> bool {
    module.starts_with("lora_") && !module.contains('.')
}

/// Ids that a module may have in kohya's files.
pub(crate) fn ids(module: &str) -> Vec<String> {
    if is_folded(module) {
        return vec![module.into()];
    }
    let name = diffusers::with_component(module);
    let (prefixes, rest): (&[&str], &str) = match component(&name) {
        Some(("text_encoder", rest)) => (&["lora_te_", "lora_te1_"], rest),
        Some(("text_encoder_2", rest)) => (&["lora_te2_"], rest),
        Some(("text_encoder_3", rest)) => (&["lora_te3_"], rest),
        Some(("unet" | "transformer", rest)) => (&["lora_unet_"], rest),
        Some((_, _)) => (&[], ""),
        None => (&["lora_unet_"], &name),
    };
    prefixes.iter().map(|prefix| prefix.to_string() + &rest.replace('.', "_")).collect()
}

pub(crate) fn key(module: &LoraModule, part: Part, components: Components) -> Option<String> {
    if module.kind == ModuleKind::Embedding {
        return None;
    }
    let ids = ids(&module.name);
    let id = if components == Components::OneEncoder { ids.first() } else { ids.last() }?;
    let ending = PARTS.iter().find(|(_, p)| *p == part)?.0;
    Some(format!("{id}{ending}"))
}

/// Whether a key holds a scale.
pub(crate) fn is_scale(key: &str) -> bool {
    key.ends_with(".alpha")
}
