//! Vision transformers around PyTorch's `nn.TransformerEncoder`: one projection for queries, keys and values, norms after each sum. Outside
//! the layers every program has its own names, so tensors are known there by their shapes; nothing says the number of heads.

use grouping_core::Activation;
use grouping_core::files::spelling::Spelling;

use super::{ConfigFile, Model, Outside, Spec, VitDefaults, WrittenAs};

pub(super) const SPEC: Spec = Spec {
    names: Spelling {
        label: "torch TransformerEncoder",
        mark: "layers.#.self_attn.in_proj_weight",
        rows: &[
            ("layers.#.norm1.*", "layers.#.norm1.*"),
            ("layers.#.attention.q_proj.*", "layers.#.self_attn.in_proj_*"),
            ("layers.#.attention.k_proj.*", "layers.#.self_attn.in_proj_*"),
            ("layers.#.attention.v_proj.*", "layers.#.self_attn.in_proj_*"),
            ("layers.#.attention.o_proj.*", "layers.#.self_attn.out_proj.*"),
            ("layers.#.norm2.*", "layers.#.norm2.*"),
            ("layers.#.mlp.fc1.*", "layers.#.linear1.*"),
            ("layers.#.mlp.fc2.*", "layers.#.linear2.*"),
        ],
    },
    model: Model::Vit(VitDefaults {
        head_dim: None,
        norm_first: false,
        norm_eps: 1e-5,
        activation: Activation::Relu,
        outside: Outside::Shapes,
    }),
    config: ConfigFile::InFolder,
    written_as: WrittenAs::File("safetensors"),
};
