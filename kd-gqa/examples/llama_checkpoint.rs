//! Writes what the benches of `kd-gqa convert` read: a folder of the Llama family with random weights, 1.1 GB in bf16 in three shards.
//!
//! ```sh
//! cargo run --release --example llama_checkpoint -- bed/llama
//! target/release/kd-gqa convert bed/llama --kv-heads 4 -o bed/grouped
//! ```
//!
//! It has the shapes of TinyLlama with a key/value head a query head, in eight layers; the largest tensor has 131,072,000 bytes. A part of
//! one tensor is held at a time.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use grouping_core::files::output::{Existing, write_folder};
use grouping_core::files::tensor_file::{Dtype, Planned, TensorWriter};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, json};

const HIDDEN: usize = 2048;
const FEED_FORWARD: usize = 5632;
const N_HEADS: usize = 16;
const N_LAYERS: usize = 8;
const VOCAB: usize = 32_000;
const N_SHARDS: usize = 3;
/// Values that are held at once.
const BLOCK: usize = 1 << 20;

fn main() -> anyhow::Result<()> {
    let Some(folder) = std::env::args().nth(1).map(PathBuf::from) else {
        anyhow::bail!("usage: llama_checkpoint FOLDER");
    };
    write_folder(&folder, Existing::Replace, fill)
}

/// Writes all files of the folder.
fn fill(folder: &Path) -> anyhow::Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let tensors = tensors();
    let mut weight_map = Map::new();
    for (i, shard) in tensors.chunks(tensors.len().div_ceil(N_SHARDS)).enumerate() {
        let name = format!("model-{:05}-of-{N_SHARDS:05}.safetensors", i + 1);
        let path = folder.join(&name);
        let writer = TensorWriter::safetensors(File::create(&path)?, &path, shard, &BTreeMap::new())?;
        for tensor in shard {
            write(&writer, tensor, &mut rng)?;
            weight_map.insert(tensor.name.clone(), name.clone().into());
        }
        writer.finish()?;
    }
    let n_bytes: usize = tensors.iter().map(|tensor| 2 * tensor.shape.iter().product::<usize>()).sum();
    let index = json!({"metadata": {"total_size": n_bytes}, "weight_map": weight_map});
    fs::write(folder.join("model.safetensors.index.json"), index.to_string())?;
    let config = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": N_LAYERS, "num_attention_heads": N_HEADS, "num_key_value_heads": N_HEADS,
        "vocab_size": VOCAB, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "torch_dtype": "bfloat16",
    });
    Ok(fs::write(folder.join("config.json"), config.to_string())?)
}

/// The tensors in the model's order.
fn tensors() -> Vec<Planned> {
    let tensor = |name: String, shape: &[usize]| Planned::new(name, shape.to_vec(), Dtype::BF16);
    let mut tensors = vec![tensor("model.embed_tokens.weight".into(), &[VOCAB, HIDDEN])];
    for layer in 0..N_LAYERS {
        let mut add = |name: &str, shape: &[usize]| {
            tensors.push(tensor(format!("model.layers.{layer}.{name}.weight"), shape));
        };
        for projection in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            add(&format!("self_attn.{projection}"), &[HIDDEN, HIDDEN]);
        }
        for projection in ["gate_proj", "up_proj"] {
            add(&format!("mlp.{projection}"), &[FEED_FORWARD, HIDDEN]);
        }
        add("mlp.down_proj", &[HIDDEN, FEED_FORWARD]);
        add("input_layernorm", &[HIDDEN]);
        add("post_attention_layernorm", &[HIDDEN]);
    }
    tensors.push(tensor("model.norm.weight".into(), &[HIDDEN]));
    tensors.push(tensor("lm_head.weight".into(), &[VOCAB, HIDDEN]));
    tensors
}

/// Writes one tensor of small values, block by block.
fn write(writer: &TensorWriter, tensor: &Planned, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    let n_values: usize = tensor.shape.iter().product();
    for first in (0..n_values).step_by(BLOCK) {
        let block: Vec<f32> =
            (first..n_values.min(first + BLOCK)).map(|_| rng.random_range(-0.02..0.02)).collect();
        writer.write_from(&tensor.name, first, &block)?;
    }
    Ok(())
}
