//! File formats: what each key of a file means, and how names are spelt when one is written.
//!
//! A *module* is named alike whatever the file: PEFT's names as they stand; for pipelines of diffusers the component in front
//! (`unet.`, `text_encoder.`), one name for `to_out` and `to_out.0`; kohya's ids with underscores unfolded where
//! [`stable_diffusion`] knows them, and as they stand where it does not.

pub(crate) mod diffusers;
pub(crate) mod kohya;
pub(crate) mod peft;
pub(crate) mod stable_diffusion;

use std::fmt;

use serde::Serialize;

use super::{LoraModule, ModuleKind};

/// A family of adapter files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// PEFT: a folder with `adapter_config.json`, or its tensors with the configuration in the header
    Peft,
    /// diffusers: one file, `unet.….lora_A.weight` and older spellings
    Diffusers,
    /// kohya: one file, `lora_unet_….lora_down.weight`
    Kohya,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Peft => "peft",
            Self::Diffusers => "diffusers",
            Self::Kohya => "kohya",
        })
    }
}

/// What a tensor is to its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Part {
    A,
    B,
    Bias,
    Magnitude,
    Alpha,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
            Self::Bias => "bias",
            Self::Magnitude => "magnitude",
            Self::Alpha => "alpha",
        })
    }
}

/// What a key of a file means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Meaning {
    /// A part of a module, by the module's full name.
    Part(String, Part),
    /// A factor of an embedding.
    OfEmbedding(String, Part),
    /// A tensor that is carried whole, by its name.
    Head(String),
    /// Something that merging would get wrong, and why.
    Refused(&'static str),
}

/// How keys are spelt in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeySpelling {
    Peft,
    Diffusers(diffusers::Style),
    Kohya,
}

impl KeySpelling {
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Peft => Format::Peft,
            Self::Diffusers(_) => Format::Diffusers,
            Self::Kohya => Format::Kohya,
        }
    }

    /// The spelling of a file of these keys.
    pub(crate) fn of<'a>(keys: impl Iterator<Item = &'a str> + Clone) -> Self {
        if keys.clone().any(|key| key.starts_with(peft::PREFIX)) {
            Self::Peft
        } else if keys.clone().any(kohya::is_key) {
            Self::Kohya
        } else {
            Self::Diffusers(diffusers::Style::of(keys))
        }
    }

    pub(crate) fn meaning(self, key: &str) -> Meaning {
        match self {
            Self::Peft => peft::meaning(key),
            Self::Diffusers(_) => diffusers::meaning(key),
            Self::Kohya => kohya::meaning(key),
        }
    }

    /// The key of a module's part; `None` where the format has no place for it.
    pub(crate) fn key(self, module: &LoraModule, part: Part, components: Components) -> Option<String> {
        match self {
            Self::Peft => peft::key(module, part),
            Self::Diffusers(style) => diffusers::key(style, module, part),
            Self::Kohya => kohya::key(module, part, components),
        }
    }

    /// The shape in which a module's part is stored.
    pub(crate) fn shape(self, module: &LoraModule, part: Part) -> Vec<usize> {
        let n_axes = match &module.kind {
            ModuleKind::Conv { kernel } => kernel.len(),
            _ => 0,
        };
        let ones = vec![1; n_axes];
        match part {
            Part::A => module.kind.shape_of_a(module.rank, module.n_inputs),
            Part::B => module.kind.shape_of_b(module.rank, module.n_outputs),
            Part::Bias => vec![module.n_outputs],
            Part::Alpha => vec![],
            Part::Magnitude if self == Self::Kohya => [&[module.n_outputs, 1], ones.as_slice()].concat(),
            Part::Magnitude if n_axes > 0 => [&[1, module.n_outputs], ones.as_slice()].concat(),
            Part::Magnitude => vec![module.n_outputs],
        }
    }
}

/// Which text encoders an output has; kohya numbers them from the second on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Components {
    OneEncoder,
    SeveralEncoders,
}

/// Components of pipelines, each before a dot in the names of its modules.
pub(crate) const COMPONENTS: [&str; 8] = [
    "unet",
    "transformer",
    "transformer_2",
    "text_encoder",
    "text_encoder_2",
    "text_encoder_3",
    "prior",
    "image_encoder",
];

/// Splits a component from the name of a module.
pub(crate) fn component(module: &str) -> Option<(&str, &str)> {
    module.split_once('.').filter(|(first, _)| COMPONENTS.contains(first))
}
