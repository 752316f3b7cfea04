//! Dialects of checkpoints: whose names a file's tensors have, and what else follows from that. Each stands in one file, which says all.
//!
//! With H heads of length hd, G key/value heads and hidden size d, the neutral projections are `W_Q [H·hd, d]`, `W_K [G·hd, d]`,
//! `W_V [G·hd, d]` and `W_O [d, H·hd]`. A dialect that has one name for the first three holds them one after another in `[(H + 2·G)·hd, d]`.
//!
//! | neutral name | shape |
//! |---|---|
//! | `cls_token` | `[d]`, where there is one |
//! | `pos_embed` | `[positions, d]` |
//! | `patch_embed.{weight,bias}` | `[d, channels · patch height · patch width]`, `[d]` |
//! | `layers.N.{norm1,norm2}.{weight,bias}` | `[d]` |
//! | `layers.N.attention.{q_proj,k_proj,v_proj,o_proj}.{weight,bias}` | `[H·hd, d]`, `[G·hd, d]`, `[G·hd, d]`, `[d, H·hd]`; biases where there are some |
//! | `layers.N.attention.{q_norm,k_norm}.{weight,bias}` | `[hd]`: of each head, where there are some |
//! | `layers.N.mlp.{fc1,fc2}.{weight,bias}` | `[m, d]`, `[d, m]` |
//! | `norm.{weight,bias}` | `[d]`: the norm before the head, where there is one |
//! | `head.{weight,bias}` | `[classes, d]`, where there is one |
//!
//! These are the paths of the parameters of [`Vit`](crate::vit::Vit). Of decoders only attention, `embedding`, `head` and `layers.N.mlp.gate` are named.

mod hugging_face;
mod llama;
mod llama2c;
mod timm;
mod torch_encoder;

use std::path::Path;

use grouping_core::Activation;
use grouping_core::files::spelling::{Spelling, find};
use grouping_core::matching::procrustes::PairLayout;

use crate::Result;
#[cfg(feature = "model")]
pub(crate) use timm::EPS as TIMM_EPS;

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
pub enum AttentionPart {
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
pub const QKV: [AttentionPart; 3] = [AttentionPart::Query, AttentionPart::Key, AttentionPart::Value];

/// All that is said of a dialect.
pub(crate) struct Spec {
    /// Neutral names and its own.
    pub(crate) names: Spelling,
    pub(crate) model: Model,
    pub(super) config: ConfigFile,
    pub(crate) written_as: WrittenAs,
}

/// What models have these names.
pub(crate) enum Model {
    Vit(VitDefaults),
    /// Decoders whose rotary positions turn such pairs of a head's coordinates.
    Decoder(PairLayout),
}

/// What a vision transformer of the dialect is where nothing says otherwise: as its library has it by default.
pub(crate) struct VitDefaults {
    /// The length of a head; none where it has to be said.
    pub(super) head_dim: Option<usize>,
    pub(super) norm_first: bool,
    pub(super) norm_eps: f64,
    pub(super) activation: Activation,
    pub(super) outside: Outside,
}

/// How the tensors outside the layers are known.
pub(crate) enum Outside {
    /// By their names. What stands before the names of layers may end in this word, which does not stand before theirs.
    Names { inner: &'static str },
    /// By their shapes, as every program has its own names.
    Shapes,
}

/// Where `config.json` may lie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConfigFile {
    /// In a folder.
    InFolder,
    /// In a folder, or beside a file.
    Beside,
    /// In a folder, and it has to be there.
    Required,
    /// Nowhere: the format has a header.
    Nowhere,
}

/// What a checkpoint of the dialect is written as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrittenAs {
    Folder,
    /// A file whose name ends so.
    File(&'static str),
}

/// Heads of this length are assumed by the libraries that say nothing else.
const USUAL_HEAD_DIM: usize = 64;

impl Dialect {
    /// All dialects that are recognised by the names in a file.
    const NAMED: [Self; 5] =
        [Self::Timm, Self::HuggingFaceVit, Self::HuggingFaceVitNew, Self::TorchEncoder, Self::Llama];

    /// All that is said of it.
    pub(crate) fn spec(self) -> &'static Spec {
        match self {
            Self::Timm => &timm::SPEC,
            Self::HuggingFaceVit => &hugging_face::ON_DISK,
            Self::HuggingFaceVitNew => &hugging_face::IN_MEMORY,
            Self::TorchEncoder => &torch_encoder::SPEC,
            Self::Llama => &llama::SPEC,
            Self::Llama2c => &llama2c::SPEC,
        }
    }

    /// The dialect in words.
    pub fn label(self) -> &'static str {
        self.spec().names.label
    }

    /// Whether the model is a vision transformer.
    pub fn is_vit(self) -> bool {
        matches!(self.spec().model, Model::Vit(_))
    }

    /// Which pairs of a head's coordinates rotary positions turn; none in a vision transformer.
    pub fn rotary_pairs(self) -> Option<PairLayout> {
        match self.spec().model {
            Model::Vit(_) => None,
            Model::Decoder(pairs) => Some(pairs),
        }
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
    /// [`Error::Core`](crate::Error::Core) for names of no dialect or of several, and for layers that are missing, by name.
    pub(crate) fn of<'a>(path: &Path, names: impl Iterator<Item = &'a str> + Clone) -> Result<Self> {
        let found = find(path, &Dialect::NAMED.map(|dialect| &dialect.spec().names), names)?;
        Ok(Self { dialect: Dialect::NAMED[found.which], prefix: found.prefix, n_layers: found.n_layers })
    }

    /// The name of the tensor of this neutral name; none where the dialect has no such tensor.
    pub(crate) fn stored(&self, neutral: &str) -> Option<String> {
        let mut prefix = self.prefix.as_str();
        if let Model::Vit(VitDefaults { outside: Outside::Names { inner }, .. }) = self.dialect.spec().model
            && !neutral.starts_with("layers.")
        {
            prefix = prefix.strip_suffix(inner).unwrap_or(prefix);
        }
        self.dialect.spec().names.theirs(prefix, neutral)
    }

    /// Name of the tensor that holds a projection's weight.
    pub(crate) fn weight(&self, layer: usize, projection: AttentionPart) -> String {
        self.projection(layer, projection, "weight")
    }

    /// Name of the tensor that holds a projection's bias, if it has one.
    pub(crate) fn bias(&self, layer: usize, projection: AttentionPart) -> String {
        self.projection(layer, projection, "bias")
    }

    fn projection(&self, layer: usize, projection: AttentionPart, part: &str) -> String {
        let name = format!("{}.{part}", projection.neutral(layer));
        self.stored(&name).expect("every dialect names the projections of attention")
    }

    /// Whether query, key and value lie in one tensor.
    pub(crate) fn is_fused(&self) -> bool {
        self.weight(0, AttentionPart::Query) == self.weight(0, AttentionPart::Key)
    }
}

impl AttentionPart {
    /// Its neutral name in a layer, before `.weight` and `.bias`.
    pub(crate) fn neutral(self, layer: usize) -> String {
        let part = match self {
            Self::Query => "q_proj",
            Self::Key => "k_proj",
            Self::Value => "v_proj",
            Self::Output => "o_proj",
        };
        format!("layers.{layer}.attention.{part}")
    }
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
            assert_eq!(found.weight(0, AttentionPart::Query), names[0], "the name again");
        }
    }

    #[test]
    fn outside_the_layers_a_dialect_has_its_own_prefix() {
        let names = |dialect, prefix: &str| Names { dialect, prefix: prefix.into(), n_layers: 1 };
        let new = names(Dialect::HuggingFaceVitNew, "vit.encoder.");
        let stored = |names: &Names, neutral: &str| names.stored(neutral).expect("a row");
        assert_eq!(stored(&new, "norm.bias"), "vit.layernorm.bias", "not within the encoder");
        assert_eq!(
            stored(&new, "layers.3.norm1.bias"),
            "vit.encoder.layers.3.layernorm_before.bias",
            "within"
        );
        assert_eq!(stored(&new, "head.weight"), "classifier.weight", "outside of all");
        assert_eq!(stored(&names(Dialect::Timm, "encoder."), "norm.bias"), "encoder.norm.bias", "timm's");
    }
}
