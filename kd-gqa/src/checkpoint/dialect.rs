//! Dialects of checkpoints: under which names, and in which rows, the four projections of each layer's attention lie.
//!
//! With H heads of length hd, G key/value heads and hidden size d, the neutral projections are `W_Q [H·hd, d]`, `W_K [G·hd, d]`,
//! `W_V [G·hd, d]` and `W_O [d, H·hd]`. timm's `qkv` and PyTorch's `in_proj` hold the first three one after another in
//! `[(H + 2·G)·hd, d]`; the others hold each in a tensor of its own.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{Error, Result};

/// Whose names a checkpoint's tensors have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// timm's vision transformers: `blocks.N.attn.qkv.weight`.
    Timm,
    /// Hugging Face's vision transformers on disk: `encoder.layer.N.attention.attention.query.weight`.
    HuggingFaceVit,
    /// Hugging Face's vision transformers in memory since version 5: `layers.N.attention.q_proj.weight`.
    HuggingFaceVitNew,
    /// PyTorch's `nn.TransformerEncoder`: `layers.N.self_attn.in_proj_weight`.
    TorchEncoder,
    /// Folders of Llama, Mistral and Qwen2: `model.layers.N.self_attn.q_proj.weight` and `config.json`.
    Llama,
    /// Files of llama2.c, whose tensors have places and no names; here they have those of Meta: `layers.N.attention.wq.weight`.
    Llama2c,
}

/// One of the four projections of a layer's attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Projection {
    /// `W_Q`
    Query,
    /// `W_K`
    Key,
    /// `W_V`
    Value,
    /// `W_O`
    Output,
}

/// The projections whose outputs are heads, in the order in which fused tensors hold them.
pub const QKV: [Projection; 3] = [Projection::Query, Projection::Key, Projection::Value];

/// Names behind the layer's number, of weights and biases; a fused tensor stands for all three of query, key and value.
struct Spelling {
    before: &'static str,
    qkv: [[&'static str; 2]; 3],
    output: [&'static str; 2],
}

const FUSED_TIMM: [&str; 2] = ["attn.qkv.weight", "attn.qkv.bias"];
const FUSED_TORCH: [&str; 2] = ["self_attn.in_proj_weight", "self_attn.in_proj_bias"];

impl Dialect {
    /// All dialects that are recognised by the names in a file.
    const NAMED: [Self; 5] =
        [Self::Timm, Self::HuggingFaceVit, Self::HuggingFaceVitNew, Self::TorchEncoder, Self::Llama];

    /// The dialect in words.
    pub fn label(self) -> &'static str {
        match self {
            Self::Timm => "timm",
            Self::HuggingFaceVit | Self::HuggingFaceVitNew => "Hugging Face ViT",
            Self::TorchEncoder => "torch TransformerEncoder",
            Self::Llama => "Llama family",
            Self::Llama2c => "llama2.c",
        }
    }

    /// Whether the model is a vision transformer.
    pub fn is_vit(self) -> bool {
        !matches!(self, Self::Llama | Self::Llama2c)
    }

    fn spelling(self) -> Spelling {
        match self {
            Self::Timm => Spelling {
                before: "blocks.",
                qkv: [FUSED_TIMM; 3],
                output: ["attn.proj.weight", "attn.proj.bias"],
            },
            Self::HuggingFaceVit => Spelling {
                before: "encoder.layer.",
                qkv: [
                    ["attention.attention.query.weight", "attention.attention.query.bias"],
                    ["attention.attention.key.weight", "attention.attention.key.bias"],
                    ["attention.attention.value.weight", "attention.attention.value.bias"],
                ],
                output: ["attention.output.dense.weight", "attention.output.dense.bias"],
            },
            Self::HuggingFaceVitNew => Spelling {
                before: "layers.",
                qkv: [
                    ["attention.q_proj.weight", "attention.q_proj.bias"],
                    ["attention.k_proj.weight", "attention.k_proj.bias"],
                    ["attention.v_proj.weight", "attention.v_proj.bias"],
                ],
                output: ["attention.o_proj.weight", "attention.o_proj.bias"],
            },
            Self::TorchEncoder => Spelling {
                before: "layers.",
                qkv: [FUSED_TORCH; 3],
                output: ["self_attn.out_proj.weight", "self_attn.out_proj.bias"],
            },
            Self::Llama => Spelling {
                before: "layers.",
                qkv: [
                    ["self_attn.q_proj.weight", "self_attn.q_proj.bias"],
                    ["self_attn.k_proj.weight", "self_attn.k_proj.bias"],
                    ["self_attn.v_proj.weight", "self_attn.v_proj.bias"],
                ],
                output: ["self_attn.o_proj.weight", "self_attn.o_proj.bias"],
            },
            Self::Llama2c => Spelling {
                before: "layers.",
                qkv: [
                    ["attention.wq.weight", "attention.wq.bias"],
                    ["attention.wk.weight", "attention.wk.bias"],
                    ["attention.wv.weight", "attention.wv.bias"],
                ],
                output: ["attention.wo.weight", "attention.wo.bias"],
            },
        }
    }

    /// The prefix and number of the layer whose first attention tensor has this name.
    fn layer_of(self, name: &str) -> Option<(&str, usize)> {
        let spelling = self.spelling();
        let rest = name.strip_suffix(spelling.qkv[0][0])?.strip_suffix('.')?;
        let stem = rest.trim_end_matches(|c: char| c.is_ascii_digit());
        let layer = rest[stem.len()..].parse().ok()?;
        Some((stem.strip_suffix(spelling.before)?, layer))
    }
}

/// Names in one checkpoint: its dialect, what stands before all layers, and the number of layers.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) dialect: Dialect,
    pub(crate) prefix: String,
    pub(crate) n_layers: usize,
}

impl Names {
    /// What the names of a file's tensors say.
    ///
    /// # Errors
    /// [`Error::Format`] for names of no dialect or of several, and for layers that are missing, by name.
    pub(crate) fn of<'a>(path: &Path, names: impl Iterator<Item = &'a str> + Clone) -> Result<Self> {
        let mut found: Vec<(Dialect, &str, BTreeSet<usize>)> = vec![];
        for name in names.clone() {
            for dialect in Dialect::NAMED {
                let Some((prefix, layer)) = dialect.layer_of(name) else { continue };
                match found.iter_mut().find(|(d, p, _)| *d == dialect && *p == prefix) {
                    Some((_, _, layers)) => _ = layers.insert(layer),
                    None => found.push((dialect, prefix, BTreeSet::from([layer]))),
                }
            }
        }
        let (dialect, prefix, layers) = match found.as_slice() {
            [one] => one,
            [] => return Err(unknown(path, names)),
            several => {
                let stems: Vec<String> = several
                    .iter()
                    .map(|(d, p, _)| format!("{p}{}N.{}", d.spelling().before, d.spelling().qkv[0][0]))
                    .collect();
                return Err(Error::format(path, "names", "one model's attention", stems.join(" and ")));
            }
        };
        let made = Self { dialect: *dialect, prefix: (*prefix).to_string(), n_layers: layers.len() };
        match (0..layers.len()).find(|layer| !layers.contains(layer)) {
            Some(missing) => {
                let name = made.weight(missing, Projection::Query);
                Err(Error::format(path, name, "a tensor of this name", "none"))
            }
            None => Ok(made),
        }
    }

    /// What stands before the names of a layer's tensors.
    pub(crate) fn layer(&self, layer: usize) -> String {
        format!("{}{}{layer}.", self.prefix, self.dialect.spelling().before)
    }

    fn names(&self, projection: Projection) -> [&'static str; 2] {
        let spelling = self.dialect.spelling();
        match projection {
            Projection::Query => spelling.qkv[0],
            Projection::Key => spelling.qkv[1],
            Projection::Value => spelling.qkv[2],
            Projection::Output => spelling.output,
        }
    }

    /// Name of the tensor that holds a projection's weight.
    pub(crate) fn weight(&self, layer: usize, projection: Projection) -> String {
        self.layer(layer) + self.names(projection)[0]
    }

    /// Name of the tensor that holds a projection's bias, if it has one.
    pub(crate) fn bias(&self, layer: usize, projection: Projection) -> String {
        self.layer(layer) + self.names(projection)[1]
    }

    /// Whether query, key and value lie in one tensor.
    pub(crate) fn is_fused(&self) -> bool {
        let qkv = self.dialect.spelling().qkv;
        qkv[0][0] == qkv[1][0]
    }
}

/// The error of a file whose names are none of ours: what was looked for, and some of what is there.
fn unknown<'a>(path: &Path, names: impl Iterator<Item = &'a str> + Clone) -> Error {
    let looked_for = Dialect::NAMED.map(|dialect| {
        let spelling = dialect.spelling();
        format!("{}N.{} ({})", spelling.before, spelling.qkv[0][0], dialect.label())
    });
    let n_names = names.clone().count();
    let mut some: Vec<&str> = names.take(5).collect();
    if n_names > some.len() {
        some.push("…");
    }
    let expected = format!("the attention of a known model: {}", looked_for.join(", "));
    Error::format(path, "names", expected, format!("{n_names} tensors: {}", some.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_the_dialect() {
        let cases = [
            (vec!["blocks.0.attn.qkv.weight", "head.weight"], Dialect::Timm, ""),
            (vec!["vit.encoder.layer.0.attention.attention.query.weight"], Dialect::HuggingFaceVit, "vit."),
            (vec!["layers.0.attention.q_proj.weight"], Dialect::HuggingFaceVitNew, ""),
            (vec!["transformer.layers.0.self_attn.in_proj_weight"], Dialect::TorchEncoder, "transformer."),
            (vec!["model.layers.0.self_attn.q_proj.weight"], Dialect::Llama, "model."),
        ];
        for (names, dialect, prefix) in cases {
            let found = Names::of(Path::new("x"), names.iter().copied()).expect("a known dialect");
            assert_eq!((found.dialect, found.prefix.as_str()), (dialect, prefix), "{names:?}");
            assert_eq!(found.weight(0, Projection::Query), names[0], "the name again");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let error = |names: &[&str]| {
            Names::of(Path::new("x"), names.iter().copied()).expect_err("refused").to_string()
        };
        let unknown = error(&["conv1.weight", "fc.bias"]);
        assert!(unknown.contains("blocks.N.attn.qkv.weight (timm)"), "what was looked for: {unknown}");
        assert!(unknown.contains("2 tensors: conv1.weight, fc.bias"), "what is there: {unknown}");
        let gap = error(&["blocks.0.attn.qkv.weight", "blocks.2.attn.qkv.weight"]);
        assert!(gap.contains("blocks.1.attn.qkv.weight: expected a tensor"), "the missing layer: {gap}");
        let two = error(&["a.blocks.0.attn.qkv.weight", "b.blocks.0.attn.qkv.weight"]);
        assert!(two.contains("a.blocks.N") && two.contains("b.blocks.N"), "both models: {two}");
    }
}
