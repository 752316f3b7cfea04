//! Hugging Face's vision transformers, in the names that transformers writes and in those that it has in memory since version 5.

use grouping_core::Activation;
use grouping_core::files::spelling::Spelling;

use super::{ConfigFile, Model, Outside, Spec, USUAL_HEAD_DIM, VitDefaults, WrittenAs};

const LABEL: &str = "Hugging Face ViT";
const DEFAULTS: VitDefaults = VitDefaults {
    head_dim: Some(USUAL_HEAD_DIM),
    norm_first: true,
    norm_eps: 1e-12,
    activation: Activation::Gelu,
    outside: Outside::Names { inner: "encoder." },
};

pub(super) const ON_DISK: Spec = Spec {
    names: Spelling {
        label: LABEL,
        mark: "encoder.layer.#.attention.attention.query.weight",
        rows: &[
            ("cls_token", "embeddings.cls_token"),
            ("pos_embed", "embeddings.position_embeddings"),
            ("patch_embed.*", "embeddings.patch_embeddings.projection.*"),
            ("layers.#.norm1.*", "encoder.layer.#.layernorm_before.*"),
            ("layers.#.attention.q_proj.*", "encoder.layer.#.attention.attention.query.*"),
            ("layers.#.attention.k_proj.*", "encoder.layer.#.attention.attention.key.*"),
            ("layers.#.attention.v_proj.*", "encoder.layer.#.attention.attention.value.*"),
            ("layers.#.attention.o_proj.*", "encoder.layer.#.attention.output.dense.*"),
            ("layers.#.norm2.*", "encoder.layer.#.layernorm_after.*"),
            ("layers.#.mlp.fc1.*", "encoder.layer.#.intermediate.dense.*"),
            ("layers.#.mlp.fc2.*", "encoder.layer.#.output.dense.*"),
            ("norm.*", "layernorm.*"),
            ("head.*", "/classifier.*"),
        ],
    },
    model: Model::Vit(DEFAULTS),
    config: ConfigFile::Beside,
    written_as: WrittenAs::File("safetensors"),
};

pub(super) const IN_MEMORY: Spec = Spec {
    names: Spelling {
        label: LABEL,
        mark: "layers.#.attention.q_proj.weight",
        rows: &[
            ("cls_token", "embeddings.cls_token"),
            ("pos_embed", "embeddings.position_embeddings"),
            ("patch_embed.*", "embeddings.patch_embeddings.projection.*"),
            ("layers.#.norm1.*", "layers.#.layernorm_before.*"),
            ("layers.#.attention.q_proj.*", "layers.#.attention.q_proj.*"),
            ("layers.#.attention.k_proj.*", "layers.#.attention.k_proj.*"),
            ("layers.#.attention.v_proj.*", "layers.#.attention.v_proj.*"),
            ("layers.#.attention.o_proj.*", "layers.#.attention.o_proj.*"),
            ("layers.#.norm2.*", "layers.#.layernorm_after.*"),
            ("layers.#.mlp.fc1.*", "layers.#.mlp.fc1.*"),
            ("layers.#.mlp.fc2.*", "layers.#.mlp.fc2.*"),
            ("norm.*", "layernorm.*"),
            ("head.*", "/classifier.*"),
        ],
    },
    model: Model::Vit(DEFAULTS),
    config: ConfigFile::Beside,
    written_as: WrittenAs::File("safetensors"),
};
