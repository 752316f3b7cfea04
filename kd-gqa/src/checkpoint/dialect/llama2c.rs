//! Files of llama2.c, in Meta's names ([`files::llama2c`](grouping_core::files::llama2c)).

use grouping_core::files::spelling::Spelling;
use grouping_core::matching::procrustes::PairLayout;

use super::{ConfigFile, Model, Spec, WrittenAs};

pub(super) const SPEC: Spec = Spec {
    names: Spelling {
        label: "llama2.c",
        mark: "layers.#.attention.wq.weight",
        rows: &[
            ("embedding.weight", "tok_embeddings.weight"),
            ("layers.#.attention.q_proj.*", "layers.#.attention.wq.*"),
            ("layers.#.attention.k_proj.*", "layers.#.attention.wk.*"),
            ("layers.#.attention.v_proj.*", "layers.#.attention.wv.*"),
            ("layers.#.attention.o_proj.*", "layers.#.attention.wo.*"),
            ("layers.#.mlp.gate.*", "layers.#.feed_forward.w1.*"),
            ("head.weight", "output.weight"),
        ],
    },
    model: Model::Decoder(PairLayout::Interleaved),
    config: ConfigFile::Nowhere,
    written_as: WrittenAs::File("bin"),
};
