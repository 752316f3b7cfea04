//! Folders of the three families and checkpoints of llama2.c: what is written reads back, what cannot be is refused by name.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor};
use grouping_core::files::output::Existing;
use grouping_core::kernels::RopeScaling;
use grouping_core::nn::{
    Decoder, DecoderConfig, Family, read_llama, read_llama_config, read_llama2c, write_llama, write_llama2c,
};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

fn config() -> DecoderConfig {
    DecoderConfig::new(13, 16, 2, 4, 24)
        .with_n_kv_heads(Some(2))
        .with_rms_norm_eps(1e-5)
        .with_max_positions(32)
}

fn logits(decoder: &Decoder) -> Vec<f32> {
    let tokens = Tensor::<2, Int>::from_data([[1, 5, 2, 7, 11, 0, 3, 12]], &Device::flex());
    decoder.forward(tokens).into_data().try_into_vec().expect("f32 values")
}

fn max_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "equally many values");
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn every_family_is_written_and_read() {
    let scaling = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_positions: 16,
    };
    let dir = tempfile::tempdir().expect("a temporary folder");
    for (name, config) in [
        ("llama", config().with_rope_scaling(scaling).with_attention_bias(true).with_mlp_bias(true)),
        ("mistral", config().with_family(Family::Mistral).with_sliding_window(Some(3))),
        ("mistral-without", config().with_family(Family::Mistral)),
        ("qwen2", config().with_family(Family::Qwen2).with_tied_embeddings(false)),
        (
            "qwen2-window",
            config()
                .with_family(Family::Qwen2)
                .with_sliding_window(Some(3))
                .with_full_attention_layers(vec![1]),
        ),
    ] {
        let config = config.with_head_dim(Some(4));
        let decoder = config.init(4, &Device::flex());
        let path = dir.path().join(name);
        write_llama(&decoder, &path, Existing::Refuse).expect("the folder can be written");
        assert_eq!(read_llama_config(&path).expect("the configuration is read"), config, "{name}");
        let again = read_llama(&path, &Device::flex()).expect("what was written is read");
        assert_eq!(logits(&decoder), logits(&again), "{name}: the same logits");
    }
    let odd = config().with_sliding_window(Some(3)).init(4, &Device::flex());
    let error =
        write_llama(&odd, &dir.path().join("odd"), Existing::Refuse).expect_err("Llama has no window");
    assert!(error.to_string().contains("sliding_window"), "{error}");
}

fn edit(path: &Path, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let text = std::fs::read_to_string(path).expect("the file is there");
    let mut fields: Value = serde_json::from_str(&text).expect("it is JSON");
    change(fields.as_object_mut().expect("an object"));
    std::fs::write(path, fields.to_string()).expect("the file can be written");
}

/// Changes fields of a Llama folder, and returns what reading it says.
fn with_fields(changes: Value) -> Result<DecoderConfig, String> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("model");
    write_llama(&config().init(1, &Device::flex()), &path, Existing::Refuse)
        .expect("the folder can be written");
    edit(&path.join("config.json"), |fields| {
        for (name, value) in changes.as_object().expect("an object") {
            if *value == json!("absent") {
                fields.remove(name);
            } else {
                fields.insert(name.clone(), value.clone());
            }
        }
    });
    match read_llama_config(&path) {
        Ok(config) => Ok(config),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn what_is_not_computed_is_refused_by_name() {
    let llama3 = |field: &str, value: Value| {
        let mut scaling = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192});
        scaling[field] = value;
        json!({"rope_parameters": scaling})
    };
    for (changes, wanted) in [
        (
            json!({"rope_parameters": {"rope_type": "linear", "factor": 2.0}}),
            &["rope_parameters", "linear", "llama3"],
        ),
        (
            json!({"rope_parameters": null, "rope_scaling": {"type": "dynamic", "factor": 2.0}}),
            &["rope_scaling", "dynamic", "llama3"],
        ),
        (json!({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}), &["rope_scaling", "yarn", "llama3"]),
        (json!({"rope_scaling": {"type": "longrope"}}), &["rope_scaling", "longrope", "llama3"]),
        (
            json!({"rope_scaling": {"rope_type": "default", "rope_theta": 7.0}}),
            &["rope_scaling", "rope_parameters", "7.0"],
        ),
        (
            json!({"rope_parameters": {"full_attention": {"rope_type": "default"}}}),
            &["rope_parameters", "full_attention", "default"],
        ),
        (
            json!({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}),
            &["rope_parameters.partial_rotary_factor", "0.5", "1"],
        ),
        (json!({"partial_rotary_factor": 0.25}), &["partial_rotary_factor", "0.25", "1"]),
        (llama3("factor", json!(0.5)), &["rope_parameters.factor", "0.5", "at least 1"]),
        (
            llama3("low_freq_factor", json!(null)),
            &["rope_parameters.low_freq_factor", "nothing", "above zero"],
        ),
        (
            llama3("high_freq_factor", json!(1.0)),
            &["rope_parameters.high_freq_factor", "1", "above low_freq_factor"],
        ),
        (
            llama3("original_max_position_embeddings", json!("8k")),
            &["original_max_position_embeddings", "8k", "whole number"],
        ),
        (
            json!({"quantization_config": {"quant_method": "gptq", "bits": 4}}),
            &["quantization_config", "gptq", "bf16"],
        ),
        (json!({"use_qk_norm": true}), &["use_qk_norm", "true", "false"]),
        (json!({"model_type": "qwen3"}), &["model_type", "qwen3", "qwen2"]),
        (json!({"model_type": "absent"}), &["model_type", "nothing", "llama"]),
        (
            json!({"model_type": "mistral", "layer_types": ["full_attention", "sliding_attention"]}),
            &["layer_types", "Mistral", "nothing"],
        ),
        (
            json!({"model_type": "qwen2", "layer_types": ["full_attention"]}),
            &["layer_types", "2 kinds", "full_attention"],
        ),
        (
            json!({"model_type": "qwen2", "layer_types": ["sliding_attention", "full_attention"]}),
            &["layer_types[0]", "sliding_attention", "no sliding_window"],
        ),
        (
            json!({"model_type": "qwen2", "use_sliding_window": true, "layer_types": ["chunked_attention", "full_attention"]}),
            &["layer_types[0]", "chunked_attention", "full_attention"],
        ),
        (json!({"model_type": "mistral", "sliding_window": 0}), &["sliding_window", "0", "whole number"]),
    ] {
        let error = with_fields(changes.clone()).expect_err("this is refused");
        for word in ["config.json"].iter().chain(wanted) {
            assert!(error.contains(word), "`{word}` is named for {changes}: {error}");
        }
    }
}

#[test]
fn a_configuration_without_an_end_is_not_held() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = std::fs::File::create(dir.path().join("config.json")).expect("it can be created");
    file.set_len(1 << 40).expect("a file with a hole");
    let error = read_llama_config(dir.path()).expect_err("it is refused").to_string();
    assert!(error.contains("config.json: `size`: expected at most 16777216 bytes"), "{error}");
}

#[test]
fn absent_fields_mean_what_the_families_say() {
    let mistral = with_fields(
        json!({"model_type": "mistral", "num_attention_heads": 8, "num_key_value_heads": "absent", "head_dim": "absent"}),
    );
    let mistral = mistral.expect("it is read");
    assert_eq!(
        (mistral.n_kv_heads(), mistral.head_dim(), mistral.window(0)),
        (8, 2, Some(4096)),
        "Mistral's own"
    );
    let open = with_fields(json!({"model_type": "mistral", "sliding_window": null})).expect("it is read");
    assert_eq!(open.window(1), None, "null is no window");
    let qwen = with_fields(json!({"model_type": "qwen2", "sliding_window": 5, "max_window_layers": 0}));
    assert_eq!(qwen.expect("it is read").window(0), None, "use_sliding_window is false");
    let qwen = with_fields(
        json!({"model_type": "qwen2", "sliding_window": 5, "use_sliding_window": true, "max_window_layers": 1}),
    )
    .expect("it is read");
    assert_eq!((qwen.window(0), qwen.window(1)), (None, Some(5)), "from max_window_layers");
    let qwen = with_fields(json!({"model_type": "qwen2", "use_sliding_window": true})).expect("it is read");
    assert_eq!(qwen.window(1), None, "28 layers have none");
    assert!(qwen.qkv_bias() && !qwen.output_bias(), "Qwen2's biases");
    let old = with_fields(json!({"rope_parameters": "absent", "rope_theta": 500.0, "rope_scaling":
        {"type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}}))
    .expect("it is read");
    let scaling = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_positions: 32,
    };
    assert_eq!((old.rope_theta, old.rope_scaling), (500.0, scaling), "as older files say it");
}

type Tensors = BTreeMap<String, (Vec<usize>, Dtype, Vec<u8>)>;

fn read_tensors(path: &Path) -> Tensors {
    let bytes = std::fs::read(path).expect("the file is there");
    let tensors = SafeTensors::deserialize(&bytes).expect("it is valid");
    let entry = |(name, view): (String, TensorView<'_>)| {
        (name, (view.shape().to_vec(), view.dtype(), view.data().to_vec()))
    };
    tensors.tensors().into_iter().map(entry).collect()
}

fn write_tensors<'a>(
    path: &Path,
    tensors: impl Iterator<Item = (&'a String, &'a (Vec<usize>, Dtype, Vec<u8>))>,
) {
    let views = tensors.map(|(name, (shape, dtype, bytes))| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).expect("bytes that fit the shape"))
    });
    let bytes = safetensors::serialize(views, None).expect("tensors serialise");
    std::fs::write(path, bytes).expect("the file can be written");
}

/// A folder in two files: even tensors in the first, odd ones in the second.
fn split(path: &Path) {
    let tensors = read_tensors(&path.join("model.safetensors"));
    std::fs::remove_file(path.join("model.safetensors")).expect("the file is there");
    let mut map = serde_json::Map::new();
    for part in 0..2 {
        let file = format!("model-0000{}-of-00002.safetensors", part + 1);
        let of_part =
            || tensors.iter().enumerate().filter(move |(i, _)| i % 2 == part).map(|(_, entry)| entry);
        map.extend(of_part().map(|(name, _)| (name.clone(), json!(file))));
        write_tensors(&path.join(file), of_part());
    }
    let index = json!({"metadata": {"total_size": 0}, "weight_map": map});
    std::fs::write(path.join("model.safetensors.index.json"), index.to_string()).expect("it can be written");
}

#[test]
fn several_files_are_one_model_and_their_damages_are_named() {
    let decoder = config().with_tied_embeddings(false).init(4, &Device::flex());
    let check = |damage: &dyn Fn(&Path), wanted: &[&str]| {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("model");
        write_llama(&decoder, &path, Existing::Refuse).expect("the folder can be written");
        split(&path);
        damage(&path);
        match read_llama(&path, &Device::flex()) {
            Ok(again) => {
                assert!(wanted.is_empty(), "expected an error that names {wanted:?}");
                assert_eq!(logits(&decoder), logits(&again), "the same logits");
            }
            Err(error) => {
                let error = error.to_string();
                assert!(!wanted.is_empty(), "expected a model, found {error}");
                for word in wanted {
                    assert!(error.contains(word), "`{word}` is named in: {error}");
                }
            }
        }
    };
    let second = "model-00002-of-00002.safetensors";
    let index = |change: fn(&mut serde_json::Map<String, Value>)| {
        move |path: &Path| {
            edit(&path.join("model.safetensors.index.json"), |index| {
                change(index["weight_map"].as_object_mut().expect("an object"));
            });
        }
    };
    check(&|_| {}, &[]);
    check(
        &|path| std::fs::remove_file(path.join(second)).expect("it is there"),
        &["index.json", "weight_map.", second],
    );
    check(
        &|path| {
            let bytes = std::fs::read(path.join(second)).expect("it is there");
            std::fs::write(path.join(second), &bytes[..bytes.len() - 8]).expect("it can be written");
        },
        &[second, "safetensors"],
    );
    check(
        &index(|map| drop(map.insert("lm_head.weight".into(), json!("../secret")))),
        &["weight_map.lm_head.weight", "../secret", "this folder"],
    );
    check(
        &index(|map| drop(map.insert("lm_head.weight".into(), json!(7)))),
        &["index.json", "weight_map", "7"],
    );
    // What a listed file holds is there, listed or not.
    check(&index(|map| drop(map.remove("lm_head.weight"))), &[]);
    check(
        &index(|map| drop(map.insert("model.extra".into(), json!("model-00001-of-00002.safetensors")))),
        &["model-00001-of-00002.safetensors", "model.extra", "found none"],
    );
    check(&index(serde_json::Map::clear), &["index.json", "weight_map"]);
}

#[test]
fn tensors_without_a_place_are_refused() {
    let values = |n: usize, dtype: Dtype| (vec![n], dtype, vec![0u8; n * dtype.bitsize() / 8]);
    let f32s = |n| values(n, Dtype::F32);
    for (name, tensor, wanted) in [
        ("model.layers.0.self_attn.q_norm.weight", f32s(4), "QK-norm"),
        ("model.layers.1.self_attn.q_proj.bias", f32s(16), "announces none"),
        ("model.layers.1.self_attn.q_proj.weight_scale", f32s(1), "llama architecture"),
        ("model.layers.0.mlp.gate.weight", f32s(1), "llama architecture"),
        ("model.layers.2.mlp.up_proj.weight", f32s(1), "2 layers"),
        ("visual.patch_embed.weight", f32s(1), "llama architecture"),
        ("model.norm.weight", values(16, Dtype::I8), "I8"),
        ("model.norm.weight", values(16, Dtype::F8_E4M3), "F8_E4M3"),
        ("model.layers.0.self_attn.k_proj.weight", f32s(128), "[128]"),
        ("model.layers.0.self_attn.rotary_emb.inv_freq", f32s(2), ""),
        ("lm_head.weight", f32s(208), ""),
    ] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("model");
        write_llama(&config().init(1, &Device::flex()), &path, Existing::Refuse).expect("it can be written");
        let mut tensors = read_tensors(&path.join("model.safetensors"));
        tensors.insert(name.to_owned(), tensor);
        write_tensors(&path.join("model.safetensors"), tensors.iter());
        match read_llama(&path, &Device::flex()) {
            Ok(_) => assert!(wanted.is_empty(), "{name}: expected an error that names {wanted}"),
            Err(error) => {
                let error = error.to_string();
                assert!(
                    !wanted.is_empty() && error.contains(wanted),
                    "{name}: `{wanted}` is named in: {error}"
                );
                assert!(
                    error.contains(name) && error.contains("model.safetensors"),
                    "{name}: named in {error}"
                );
            }
        }
    }
}

#[test]
fn llama2c_checkpoints_are_written_and_read() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for tied in [true, false] {
        let decoder = config().with_tied_embeddings(tied).init(4, &Device::flex());
        let path = dir.path().join(format!("{tied}.bin"));
        write_llama2c(&decoder, &path, Existing::Refuse).expect("the file can be written");
        let again = read_llama2c(&path, &Device::flex()).expect("what was written is read");
        assert_eq!(logits(&decoder), logits(&again), "tied {tied}: the same logits");
        let copy = dir.path().join(format!("{tied}-copy.bin"));
        write_llama2c(&again, &copy, Existing::Refuse).expect("the file can be written");
        let bytes = |path: &Path| std::fs::read(path).expect("the file was written");
        assert_eq!(bytes(&path), bytes(&copy), "tied {tied}: the same bytes");
        let error = write_llama2c(&again, &copy, Existing::Refuse).expect_err("an output is not overwritten");
        assert!(error.to_string().contains("exists"), "{error}");
        write_llama2c(&again, &copy, Existing::Replace).expect("unless it is to be replaced");
    }
    for (config, wanted) in [
        (config().with_rope_theta(1e6), "rope_theta"),
        (config().with_rms_norm_eps(1e-6), "rms_norm_eps"),
        (config().with_head_dim(Some(8)), "head_dim"),
        (config().with_family(Family::Qwen2), "attention_bias"),
        (config().with_mlp_bias(true), "mlp_bias"),
        (config().with_family(Family::Mistral).with_sliding_window(Some(5)), "sliding_window"),
    ] {
        let path = dir.path().join("never.bin");
        let error = write_llama2c(&config.init(4, &Device::flex()), &path, Existing::Refuse)
            .expect_err("the format has no place for it");
        assert!(error.to_string().contains(wanted), "`{wanted}` is named in: {error}");
    }
    let left = std::fs::read_dir(dir.path()).expect("the folder is there").count();
    assert_eq!(left, 4, "nothing but the outputs is left");
}

#[test]
fn a_folder_and_a_llama2c_checkpoint_hold_the_same_decoder() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let decoder = config().with_tied_embeddings(false).init(4, &Device::flex());
    let (bin, folder) = (dir.path().join("model.bin"), dir.path().join("model"));
    write_llama2c(&decoder, &bin, Existing::Refuse).expect("the file can be written");
    let read = read_llama2c(&bin, &Device::flex()).expect("it is read");
    write_llama(&read, &folder, Existing::Refuse).expect("the folder can be written");
    let again = read_llama(&folder, &Device::flex()).expect("it is read");
    assert!(max_difference(&logits(&decoder), &logits(&again)) == 0.0, "rows go back to where they were");
}

#[test]
fn damaged_llama2c_checkpoints_are_named() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let whole = dir.path().join("whole.bin");
    write_llama2c(&config().init(4, &Device::flex()), &whole, Existing::Refuse).expect("it can be written");
    let whole = std::fs::read(&whole).expect("it was written");
    let number = |index: usize, value: i32| {
        let mut bytes = whole.clone();
        bytes[4 * index..][..4].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    let float = |index: usize, value: f32| {
        let mut bytes = whole.clone();
        bytes[28 + 4 * index..][..4].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    let n_values = (whole.len() - 28) / 4;
    let tables = n_values - 2 * 32 * 2;
    for (bytes, wanted) in [
        (Vec::new(), "header`: expected seven whole numbers of llama2.c, found 0 bytes"),
        (whole[..27].to_vec(), "found 27 bytes"),
        (whole[..whole.len() - 4].to_vec(), "freqs_sin"),
        ([&whole[..], &[0]].concat(), "bytes for this header"),
        (number(0, -1), "dim"),
        (number(0, 18), "n_heads"),
        (number(0, i32::MAX - 7), "tok_embeddings.weight"),
        (number(1, 0), "hidden_dim"),
        (number(2, i32::MAX), "n_layers"),
        (number(3, 16), "n_heads`: expected a divisor of dim / 2"),
        (number(4, 3), "n_kv_heads`: expected a divisor of n_heads = 4, found 3"),
        (number(4, -2), "n_kv_heads`: expected a divisor of n_heads = 4, found -2"),
        (number(4, 5), "n_kv_heads`: expected at most n_heads = 4, found 5"),
        (number(5, i32::MIN), "tok_embeddings.weight"),
        (number(5, 0), "vocab_size"),
        (number(6, 0), "seq_len"),
        (number(0, 0x616b_3432), "ak42"),
        (float(5, f32::NAN), "tok_embeddings.weight"),
        (float(tables + 3, 0.3), "freqs_cos[1][1]"),
        (float(tables + 3, f32::NAN), "freqs_cos"),
    ] {
        let path = dir.path().join("damaged.bin");
        std::fs::write(&path, bytes).expect("it can be written");
        let error = read_llama2c(&path, &Device::flex()).expect_err("it is damaged").to_string();
        assert!(error.contains(wanted) && error.contains("damaged.bin"), "`{wanted}` is named in: {error}");
    }
}
