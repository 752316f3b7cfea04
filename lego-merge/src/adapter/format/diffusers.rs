//! Keys of diffusers' files in all the spellings of its history:
//!
//! - `unet.….attn1.to_q.lora_A.weight`, `.lora_B.weight` (since PEFT does the work);
//! - `unet.….attn1.to_q.lora.down.weight`, `.lora.up.weight`;
//! - `unet.….attn1.processor.to_q_lora.down.weight`, with or without the component;
//! - `text_encoder.….q_proj.lora_linear_layer.down.weight`;
//! - `lora_unet_unet_…_attn1_to_q_lora_down.weight`, with underscores throughout.
//!
//! `.alpha`, `.dora_scale`, `.lora_magnitude_vector` and `.lora_B.bias` stand beside them. Without a scale in the file it is 1.

use super::{Meaning, Part, component, stable_diffusion};
use crate::adapter::{LoraModule, ModuleKind};

/// Endings of the keys of one file, and whether the U-Net's names lack `unet.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    endings: Endings,
    unprefixed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endings {
    Ab,
    DownUp,
    Processor,
    LinearLayer,
    Underscored,
}

/// What the underscored spelling puts before the names of the U-Net.
const UNDERSCORED: &str = "lora_unet_unet_";

impl Style {
    /// What is written where no file sets an example.
    pub(crate) const NEWEST: Self = Self { endings: Endings::Ab, unprefixed: false };

    /// The style of most of the keys.
    pub(crate) fn of<'a>(keys: impl Iterator<Item = &'a str> + Clone) -> Self {
        let count = |ending: &str| keys.clone().filter(|key| key.contains(ending)).count();
        let counts = [
            (count(".lora_A.") + count(".lora_B."), Endings::Ab),
            (count(".lora.down.") + count(".lora.up."), Endings::DownUp),
            (count("_lora.down.") + count("_lora.up."), Endings::Processor),
            (count(".lora_linear_layer."), Endings::LinearLayer),
            (count("_lora_down.") + count("_lora_up."), Endings::Underscored),
        ];
        let endings = counts.iter().max_by_key(|(n, _)| *n).map_or(Endings::Ab, |&(_, endings)| endings);
        let unprefixed = endings != Endings::Underscored && keys.clone().any(stable_diffusion::is_in_unet);
        Self { endings, unprefixed }
    }
}

/// Endings of factors, in the order in which they are tried.
const FACTORS: [(&str, Part); 10] = [
    (".lora_A.weight", Part::A),
    (".lora_B.weight", Part::B),
    (".lora.down.weight", Part::A),
    (".lora.up.weight", Part::B),
    ("_lora.down.weight", Part::A),
    ("_lora.up.weight", Part::B),
    (".lora_linear_layer.down.weight", Part::A),
    (".lora_linear_layer.up.weight", Part::B),
    ("_lora_down.weight", Part::A),
    ("_lora_up.weight", Part::B),
];
const OTHERS: [(&str, Part); 8] = [
    (".lora_B.bias", Part::Bias),
    (".lora.up.bias", Part::Bias),
    (".lora_magnitude_vector.weight", Part::Magnitude),
    (".lora_magnitude_vector", Part::Magnitude),
    (".dora_scale", Part::Magnitude),
    (".lora.alpha", Part::Alpha),
    ("_lora.alpha", Part::Alpha),
    (".alpha", Part::Alpha),
];

pub(crate) fn meaning(key: &str) -> Meaning {
    let parts = FACTORS.iter().chain(&OTHERS);
    let found = parts.into_iter().find_map(|&(ending, part)| Some((key.strip_suffix(ending)?, part)));
    match found {
        Some((stem, part)) if !stem.is_empty() => match full_name(stem) {
            Some(module) => Meaning::Part(module, part),
            None => Meaning::Refused("the module of this name with underscores is not known"),
        },
        _ => Meaning::Refused("this is no key of a LoRA of diffusers, kohya or PEFT"),
    }
}

/// The module that a key without its ending names.
fn full_name(stem: &str) -> Option<String> {
    if let Some(rest) = stem.strip_prefix(UNDERSCORED) {
        return stable_diffusion::unfold_unet(rest).map(|name| format!("unet.{name}"));
    }
    let mut name = stem.replace(".processor.", ".");
    if name.contains(".self_attn.to_") {
        // The first text-encoder LoRAs borrowed the names of the U-Net's attention.
        for side in ["q", "k", "v", "out"] {
            if let Some(rest) = name.strip_suffix(&format!(".to_{side}")) {
                name = format!("{rest}.{side}_proj");
                break;
            }
        }
    }
    if name.ends_with(".to_out") {
        name.push_str(".0");
    }
    if stable_diffusion::is_in_unet(&name) {
        name = format!("unet.{name}");
    }
    Some(name)
}

pub(crate) fn key(style: Style, module: &LoraModule, part: Part) -> Option<String> {
    if module.kind == ModuleKind::Embedding {
        return None;
    }
    let name = with_component(&module.name);
    let in_attention = name.split('.').any(|s| matches!(s, "attn" | "attn1" | "attn2"));
    let (down, up) = match style.endings {
        Endings::Underscored => ("_lora_down.weight", "_lora_up.weight"),
        Endings::Processor if in_attention => ("_lora.down.weight", "_lora.up.weight"),
        Endings::LinearLayer => (".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"),
        Endings::DownUp | Endings::Processor => (".lora.down.weight", ".lora.up.weight"),
        Endings::Ab => (".lora_A.weight", ".lora_B.weight"),
    };
    let ending = match part {
        Part::A => down,
        Part::B => up,
        Part::Bias if style.endings == Endings::Ab => ".lora_B.bias",
        Part::Magnitude if style.endings == Endings::Ab => ".lora_magnitude_vector",
        _ => return None,
    };
    let unet = name.strip_prefix("unet.");
    let stem = match (style.endings, unet) {
        (Endings::Underscored, _) => format!("{UNDERSCORED}{}", unet?.replace('.', "_")),
        (Endings::Processor, _) if in_attention => {
            let name = name.strip_suffix(".to_out.0").map_or(name.clone(), |rest| format!("{rest}.to_out"));
            let (parent, leaf) = name.rsplit_once('.')?;
            let stem = format!("{parent}.processor.{leaf}");
            if style.unprefixed { stem.strip_prefix("unet.").map_or(stem.clone(), Into::into) } else { stem }
        }
        (_, Some(rest)) if style.unprefixed => rest.into(),
        _ => name.clone(),
    };
    Some(stem + ending)
}

/// The name with the component that its modules give away, where it has none.
pub(crate) fn with_component(module: &str) -> String {
    match component(module) {
        None if stable_diffusion::is_in_unet(module) => format!("unet.{module}"),
        None if module.starts_with("text_model.") => format!("text_encoder.{module}"),
        _ => module.into(),
    }
}
