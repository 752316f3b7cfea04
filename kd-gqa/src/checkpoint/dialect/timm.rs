//! timm's vision transformers: one projection for queries, keys and values, norms before each part, QK-norm where the model has it.

use grouping_core::Activation;
use grouping_core::files::spelling::Spelling;

use super::{ConfigFile, Model, Outside, Spec, USUAL_HEAD_DIM, VitDefaults, WrittenAs};

/// ε of the norms of timm's models, which their files do not say.
pub(crate) const EPS: f64 = 1e-6;

pub(super) const SPEC: Spec = Spec {
    names: Spelling {
        label: "timm",
        mark: "blocks.#.attn.qkv.weight",
        rows: &[
            ("cls_token", "cls_token"),
            ("pos_embed", "pos_embed"),
            ("patch_embed.*", "patch_embed.proj.*"),
            ("layers.#.norm1.*", "blocks.#.norm1.*"),
            ("layers.#.attention.q_proj.*", "blocks.#.attn.qkv.*"),
            ("layers.#.attention.k_proj.*", "blocks.#.attn.qkv.*"),
            ("layers.#.attention.v_proj.*", "blocks.#.attn.qkv.*"),
            ("layers.#.attention.q_norm.*", "blocks.#.attn.q_norm.*"),
            ("layers.#.attention.k_norm.*", "blocks.#.attn.k_norm.*"),
            ("layers.#.attention.o_proj.*", "blocks.#.attn.proj.*"),
            ("layers.#.norm2.*", "blocks.#.norm2.*"),
            ("layers.#.mlp.fc1.*", "blocks.#.mlp.fc1.*"),
            ("layers.#.mlp.fc2.*", "blocks.#.mlp.fc2.*"),
            ("norm.*", "norm.*"),
            ("head.*", "head.*"),
        ],
    },
    model: Model::Vit(VitDefaults {
        head_dim: Some(USUAL_HEAD_DIM),
        norm_first: true,
        norm_eps: EPS,
        activation: Activation::Gelu,
        outside: Outside::Names { inner: "" },
    }),
    config: ConfigFile::InFolder,
    written_as: WrittenAs::File("safetensors"),
};
