//! Folders of Llama, Mistral and Qwen2, whose `config.json` says the heads.

use grouping_core::files::spelling::Spelling;
use grouping_core::matching::procrustes::PairLayout;

use super::{ConfigFile, Model, Spec, WrittenAs};

pub(super) const SPEC: Spec = Spec {
    names: Spelling {
        label: "Llama family",
        mark: "layers.#.self_attn.q_proj.weight",
        rows: &[
            ("embedding.weight", "embed_tokens.weight"),
            ("layers.#.attention.q_proj.*", "layers.#.self_attn.q_proj.*"),
            ("layers.#.attention.k_proj.*", "layers.#.self_attn.k_proj.*"),
            ("layers.#.attention.v_proj.*", "layers.#.self_attn.v_proj.*"),
            ("layers.#.attention.q_norm.*", "layers.#.self_attn.q_norm.*"),
            ("layers.#.attention.k_norm.*", "layers.#.self_attn.k_norm.*"),
            ("layers.#.attention.o_proj.*", "layers.#.self_attn.o_proj.*"),
            ("layers.#.mlp.gate.*", "layers.#.mlp.gate_proj.*"),
            ("head.weight", "/lm_head.weight"),
        ],
    },
    model: Model::Decoder(PairLayout::Halves),
    config: ConfigFile::Required,
    written_as: WrittenAs::Folder,
};
