//! Small checkpoints of all dialects with reproducible random weights, and attention computed plainly from their tensors.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use grouping_core::files::output::{Existing, write_file};
use grouping_core::files::tensor_file::{Dtype, Planned, TensorFile, TensorWriter};
use grouping_core::matrix::Matrix;
use grouping_core::seed::{derive_seed, sequence};
use kd_gqa::Groups;
use kd_gqa::checkpoint::{AttentionTensors, Dialect};

/// Names and shapes of tensors.
pub(crate) type Shapes = Vec<(String, Vec<usize>)>;

/// Reproducible values in [-1, 1) for the tensor of this name.
pub(crate) fn values(name: &str, n: usize) -> Vec<f32> {
    let seed = name.bytes().fold(7, |seed, byte| derive_seed(seed, u64::from(byte)));
    let unit = |i: usize| (sequence(seed, i as u64) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
    (0..n).map(unit).collect()
}

/// Writes tensors of these shapes to a safetensors file.
pub(crate) fn write(path: &Path, shapes: &Shapes, dtype: Dtype) {
    let tensors = shapes
        .iter()
        .map(|(name, shape)| (name.clone(), shape.clone(), values(name, shape.iter().product())));
    write_values(path, &tensors.collect::<Vec<_>>(), dtype);
}

/// Writes these tensors to a safetensors file.
pub(crate) fn write_values(path: &Path, tensors: &[(String, Vec<usize>, Vec<f32>)], dtype: Dtype) {
    let planned: Vec<Planned> =
        tensors.iter().map(|(name, shape, _)| Planned::new(name, shape.clone(), dtype)).collect();
    let metadata = BTreeMap::from([("format".to_string(), "pt".to_string())]);
    write_file(path, Existing::Replace, |file| {
        let writer = TensorWriter::safetensors(file, path, &planned, &metadata)?;
        tensors.iter().try_for_each(|(name, _, values)| writer.write(name, values))?;
        writer.finish()
    })
    .expect("a checkpoint can be written");
}

/// Replaces all metadata of a safetensors file by this entry.
pub(crate) fn with_metadata(path: &Path, key: &str, text: &str) {
    let bytes = fs::read(path).expect("reads");
    let header_len = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    let mut header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header_len]).expect("a header");
    header["__metadata__"] = serde_json::json!({ key: text });
    let header = header.to_string();
    let again =
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes[8 + header_len..]].concat();
    fs::write(path, again).expect("writes");
}

/// A vision transformer of two layers, hidden size `h·hd`, in the names of a dialect.
pub(crate) fn vit(dialect: Dialect, n_heads: usize, head_dim: usize) -> Shapes {
    let d = n_heads * head_dim;
    let m = 2 * d;
    let mut out: Shapes = vec![];
    let mut add = |name: &str, shape: &[usize]| out.push((name.to_string(), shape.to_vec()));
    let linear = |add: &mut dyn FnMut(&str, &[usize]), name: &str, n: usize, of: usize| {
        add(&format!("{name}.weight"), &[n, of]);
        add(&format!("{name}.bias"), &[n]);
    };
    let norm = |add: &mut dyn FnMut(&str, &[usize]), name: &str| {
        add(&format!("{name}.weight"), &[d]);
        add(&format!("{name}.bias"), &[d]);
    };
    let names: [&str; 5] = match dialect {
        Dialect::Timm => ["cls_token", "pos_embed", "patch_embed.proj", "norm", "head"],
        Dialect::TorchEncoder => ["cls", "positions", "patches", "out.0", "out.1"],
        _ => [
            "vit.embeddings.cls_token",
            "vit.embeddings.position_embeddings",
            "vit.embeddings.patch_embeddings.projection",
            "vit.layernorm",
            "classifier",
        ],
    };
    add(names[0], &[1, 1, d]);
    add(names[1], &[1, 5, d]);
    add(&format!("{}.weight", names[2]), &[d, 3, 4, 4]);
    add(&format!("{}.bias", names[2]), &[d]);
    for i in 0..2 {
        match dialect {
            Dialect::Timm => {
                let p = format!("blocks.{i}");
                linear(&mut add, &format!("{p}.attn.qkv"), 3 * d, d);
                linear(&mut add, &format!("{p}.attn.proj"), d, d);
                linear(&mut add, &format!("{p}.mlp.fc1"), m, d);
                linear(&mut add, &format!("{p}.mlp.fc2"), d, m);
                norm(&mut add, &format!("{p}.norm1"));
                norm(&mut add, &format!("{p}.norm2"));
            }
            Dialect::TorchEncoder => {
                let p = format!("transformer.layers.{i}");
                add(&format!("{p}.self_attn.in_proj_weight"), &[3 * d, d]);
                add(&format!("{p}.self_attn.in_proj_bias"), &[3 * d]);
                linear(&mut add, &format!("{p}.self_attn.out_proj"), d, d);
                linear(&mut add, &format!("{p}.linear1"), m, d);
                linear(&mut add, &format!("{p}.linear2"), d, m);
                norm(&mut add, &format!("{p}.norm1"));
                norm(&mut add, &format!("{p}.norm2"));
            }
            Dialect::HuggingFaceVit => {
                let p = format!("vit.encoder.layer.{i}");
                for part in ["query", "key", "value"] {
                    linear(&mut add, &format!("{p}.attention.attention.{part}"), d, d);
                }
                linear(&mut add, &format!("{p}.attention.output.dense"), d, d);
                linear(&mut add, &format!("{p}.intermediate.dense"), m, d);
                linear(&mut add, &format!("{p}.output.dense"), d, m);
                norm(&mut add, &format!("{p}.layernorm_before"));
                norm(&mut add, &format!("{p}.layernorm_after"));
            }
            _ => {
                let p = format!("vit.layers.{i}");
                for part in ["q_proj", "k_proj", "v_proj", "o_proj"] {
                    linear(&mut add, &format!("{p}.attention.{part}"), d, d);
                }
                linear(&mut add, &format!("{p}.mlp.fc1"), m, d);
                linear(&mut add, &format!("{p}.mlp.fc2"), d, m);
                norm(&mut add, &format!("{p}.layernorm_before"));
                norm(&mut add, &format!("{p}.layernorm_after"));
            }
        }
    }
    norm(&mut add, names[3]);
    linear(&mut add, names[4], 3, d);
    out
}

/// Writes a folder of the Llama family: two layers, hidden size 24, in two shards with an index.
pub(crate) fn llama_folder(folder: &Path, model_type: &str, heads: [usize; 3], dtype: Dtype) {
    let [n_heads, n_kv_heads, head_dim] = heads;
    let (d, m, vocab) = (24, 32, 11);
    let mut shards: [Shapes; 2] = [vec![], vec![]];
    shards[0].push(("model.embed_tokens.weight".into(), vec![vocab, d]));
    for (i, shard) in shards.iter_mut().enumerate() {
        let p = format!("model.layers.{i}");
        let mut add = |name: &str, shape: &[usize]| shard.push((format!("{p}.{name}"), shape.to_vec()));
        for (part, n) in [("q_proj", n_heads), ("k_proj", n_kv_heads), ("v_proj", n_kv_heads)] {
            add(&format!("self_attn.{part}.weight"), &[n * head_dim, d]);
            if model_type == "qwen2" {
                add(&format!("self_attn.{part}.bias"), &[n * head_dim]);
            }
        }
        add("self_attn.o_proj.weight", &[d, n_heads * head_dim]);
        add("mlp.gate_proj.weight", &[m, d]);
        add("mlp.up_proj.weight", &[m, d]);
        add("mlp.down_proj.weight", &[d, m]);
        add("input_layernorm.weight", &[d]);
        add("post_attention_layernorm.weight", &[d]);
    }
    shards[1].push(("model.norm.weight".into(), vec![d]));
    shards[1].push(("lm_head.weight".into(), vec![vocab, d]));
    fs::create_dir_all(folder).expect("a folder");
    let mut weight_map = serde_json::Map::new();
    for (i, shard) in shards.iter().enumerate() {
        let name = format!("model-0000{}-of-00002.safetensors", i + 1);
        write(&folder.join(&name), shard, dtype);
        shard.iter().for_each(|(tensor, _)| _ = weight_map.insert(tensor.clone(), name.clone().into()));
    }
    let index = serde_json::json!({"metadata": {"total_size": 0}, "weight_map": weight_map});
    fs::write(folder.join("model.safetensors.index.json"), index.to_string()).expect("writes");
    let config = serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": model_type, "hidden_size": d, "intermediate_size": m,
        "num_hidden_layers": 2, "num_attention_heads": n_heads, "num_key_value_heads": n_kv_heads,
        "head_dim": head_dim, "vocab_size": vocab, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "quantization_config": null, "torch_dtype": "float32",
    });
    fs::write(folder.join("config.json"), config.to_string()).expect("writes");
    fs::write(folder.join("tokenizer.json"), "{}").expect("writes");
    fs::write(folder.join("generation_config.json"), "{\"bos_token_id\": 1}").expect("writes");
}

/// Writes a file of llama2.c: two layers, six heads of four.
pub(crate) fn llama2c(path: &Path, n_kv_heads: usize, is_tied: bool) {
    let (d, m, n_layers, n_heads, vocab, n_positions) = (24usize, 16usize, 2usize, 6usize, 9usize, 8usize);
    let hd = d / n_heads;
    let signed = if is_tied { vocab as i32 } else { -(vocab as i32) };
    let header =
        [d as i32, m as i32, n_layers as i32, n_heads as i32, n_kv_heads as i32, signed, n_positions as i32];
    let n_values = vocab * d
        + n_layers * (2 * d + 2 * d * d + 2 * n_kv_heads * hd * d + 3 * d * m)
        + d
        + n_positions * hd
        + if is_tied { 0 } else { vocab * d };
    let mut bytes: Vec<u8> = header.iter().flat_map(|n| n.to_le_bytes()).collect();
    bytes.extend(values("llama2c", n_values).iter().flat_map(|v| v.to_le_bytes()));
    fs::write(path, bytes).expect("writes");
}

/// Every tensor's bytes, type and shape.
pub(crate) fn tensors_of(path: &Path) -> BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)> {
    let file = TensorFile::open(path).expect("a file of tensors");
    let tensor = |name: &str| {
        let shape = file.shape(name).expect("its shape").to_vec();
        (file.dtype(name).expect("its type"), shape, file.bytes(name).expect("its bytes"))
    };
    file.names().map(|name| (name.to_string(), tensor(name))).collect()
}

/// A committed golden file.
pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// What the attention of a layer computes, in `f64`: `x [n, d]` → `[n, d]`, no mask, no positions.
pub(crate) fn attend(tensors: &AttentionTensors, groups: &Groups, head_dim: usize, x: &Matrix) -> Vec<f64> {
    let project = |weight: &Matrix, bias: &Option<Vec<f32>>, x: &[f64], n_cols: usize| -> Vec<f64> {
        let mut out = vec![];
        for row in x.chunks(n_cols) {
            for i in 0..weight.n_rows() {
                let product: f64 = weight.view().row(i).iter().zip(row).map(|(&w, x)| f64::from(w) * x).sum();
                out.push(product + bias.as_ref().map_or(0.0, |bias| f64::from(bias[i])));
            }
        }
        out
    };
    let n = x.n_rows();
    let wide: Vec<f64> = x.values().iter().map(|&v| f64::from(v)).collect();
    let [q, k, v] = [(&tensors.query, 0), (&tensors.key, 1), (&tensors.value, 2)]
        .map(|(weight, side)| project(weight, &tensors.biases[side], &wide, x.n_cols()));
    let (n_q, n_kv) = (tensors.query.n_rows(), tensors.key.n_rows());
    let mut out = vec![0.0; n * n_q];
    for (group, heads) in groups.heads().enumerate() {
        for head in heads {
            for i in 0..n {
                let scores: Vec<f64> = (0..n)
                    .map(|j| {
                        let query = &q[i * n_q + head * head_dim..][..head_dim];
                        let key = &k[j * n_kv + group * head_dim..][..head_dim];
                        query.iter().zip(key).map(|(a, b)| a * b).sum::<f64>() / (head_dim as f64).sqrt()
                    })
                    .collect();
                let sum: f64 = scores.iter().map(|s| s.exp()).sum();
                for (j, score) in scores.iter().enumerate() {
                    for c in 0..head_dim {
                        out[i * n_q + head * head_dim + c] +=
                            score.exp() / sum * v[j * n_kv + group * head_dim + c];
                    }
                }
            }
        }
    }
    project(&tensors.output, &tensors.biases[3], &out, n_q)
}
