//! Writes random adapters with the modules of Llama-2-7B, to time a merge on: rank 8, 224 modules, 80 MB each.
//!
//! ```sh
//! cargo run --release --example llama_shaped_adapters -- bed 7
//! time target/release/lego-merge merge bed/* -o merged
//! ```

use std::path::Path;

use grouping_core::matrix::Matrix;
use lego_merge::adapter::{Adapter, AdapterConfig, TargetModules};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const RANK: usize = 8;
const N_LAYERS: usize = 32;
/// Name, `d_in`, `d_out`.
const MODULES: [(&str, usize, usize); 7] = [
    ("self_attn.q_proj", 4096, 4096),
    ("self_attn.k_proj", 4096, 4096),
    ("self_attn.v_proj", 4096, 4096),
    ("self_attn.o_proj", 4096, 4096),
    ("mlp.gate_proj", 4096, 11008),
    ("mlp.up_proj", 4096, 11008),
    ("mlp.down_proj", 11008, 4096),
];

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(folder), Some(n)) = (args.next(), args.next()) else {
        anyhow::bail!("usage: llama_shaped_adapters FOLDER NUMBER");
    };
    let mut config = AdapterConfig::new(RANK);
    let names = MODULES.map(|(name, ..)| name.rsplit('.').next().unwrap_or(name).to_string());
    config.target_modules = Some(TargetModules::Names(names.to_vec()));
    for seed in 0..n.parse()? {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut matrix = |rows, columns| Matrix::from_fn(rows, columns, |_, _| rng.random_range(-0.02..0.02));
        let modules = (0..N_LAYERS)
            .flat_map(|layer| MODULES.map(|(name, i, o)| (format!("model.layers.{layer}.{name}"), i, o)));
        let factors: Vec<_> =
            modules.map(|(name, d_in, d_out)| (name, matrix(RANK, d_in), matrix(d_out, RANK))).collect();
        let adapter = Adapter::from_factors("random", config.clone(), factors)?;
        adapter.write(Path::new(&folder).join(seed.to_string()), false)?;
    }
    Ok(())
}
