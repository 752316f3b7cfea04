//! Bad input through the binary: exit status 2, a message that names file, field, found and expected, and nothing left behind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use grouping_core::files::tensor_file::Dtype;
use kd_gqa::checkpoint::Dialect;
use proptest::prelude::*;

use crate::models::{self, Shapes, data};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kd-gqa"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}

fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    names.sort();
    names
}

/// Converting `path` fails and names all of `words`.
fn refuses(folder: &Path, path: &str, options: &[&str], words: &[&str]) {
    let before = listing(folder);
    let output =
        run(folder, &[&["convert", path, "--kv-heads", "3", "-o", "out.safetensors"], options].concat());
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{path} {options:?}: {message}");
    for word in words {
        assert!(message.contains(word), "{path} {options:?}: `{word}` is not in: {message}");
    }
    assert!(output.stdout.is_empty(), "nothing on stdout");
    assert_eq!(before, listing(folder), "{path} {options:?}: nothing is left");
}

fn timm(change: impl FnOnce(&mut Shapes)) -> Shapes {
    let mut shapes = models::vit(Dialect::Timm, 6, 4);
    change(&mut shapes);
    shapes
}

fn shape_of<'a>(shapes: &'a mut Shapes, name: &str) -> &'a mut Vec<usize> {
    &mut shapes.iter_mut().find(|(found, _)| found == name).expect("a tensor").1
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let bad = |shapes: Shapes, words: &[&str]| {
        models::write(&folder.path().join("bad.safetensors"), &shapes, Dtype::F32);
        refuses(folder.path(), "bad.safetensors", &["--heads", "6"], words);
    };
    bad(
        timm(|t| t.retain(|(name, _)| name != "blocks.1.attn.proj.weight")),
        &["bad.safetensors", "blocks.1.attn.proj.weight", "none"],
    );
    bad(
        timm(|t| t.retain(|(name, _)| name != "blocks.0.attn.qkv.weight")),
        &["blocks.0.attn.qkv.weight", "none"],
    );
    bad(
        timm(|t| *shape_of(t, "blocks.0.attn.qkv.weight") = vec![72, 24, 1]),
        &["blocks.0.attn.qkv.weight", "two axes", "[72, 24, 1]"],
    );
    // A norm of all heads together would be of other heads once some are pooled.
    bad(
        timm(|t| t.push(("blocks.1.attn.k_norm.weight".into(), vec![24]))),
        &["bad.safetensors", "blocks.1.attn.k_norm.weight", "single heads", "[4]", "[24]"],
    );
    bad(
        timm(|t| *shape_of(t, "blocks.0.attn.qkv.weight") = vec![73, 24]),
        &["blocks.0.attn.qkv.weight", "[73, 24]"],
    );
    bad(
        timm(|t| *shape_of(t, "blocks.1.attn.qkv.bias") = vec![71]),
        &["blocks.1.attn.qkv.bias", "[72]", "[71]"],
    );
    bad(
        timm(|t| *shape_of(t, "blocks.1.attn.proj.weight") = vec![20, 24]),
        &["blocks.1.attn.qkv.weight", "columns"],
    );
    bad(
        vec![("a.weight".into(), vec![2]), ("b.bias".into(), vec![2])],
        &["blocks.N.attn.qkv.weight (timm)", "a.weight, b.bias"],
    );
    bad(vec![("model.layers.0.self_attn.q_proj.weight".into(), vec![4, 4])], &["config.json", "Llama"]);
    bad(
        timm(|t| t.push(("blocks.0.mlp.fc1.qweight".into(), vec![4]))),
        &["blocks.0.mlp.fc1.qweight", "quantised"],
    );

    models::write(&folder.path().join("good.safetensors"), &timm(|_| {}), Dtype::F32);
    let heads = ["--heads", "6"];
    refuses(folder.path(), "good.safetensors", &[], &["--heads", "heads of 64"]);
    refuses(folder.path(), "good.safetensors", &["--heads", "5"], &["--heads", "a divisor of 24"]);
    refuses(
        folder.path(),
        "good.safetensors",
        &["--heads", "4"],
        &["--kv-heads: expected a divisor of the 4 heads", "--ragged"],
    );
    refuses(
        folder.path(),
        "good.safetensors",
        &[&heads[..], &["--align", "procrustes"]].concat(),
        &["--align", "calibration"],
    );
    refuses(
        folder.path(),
        "good.safetensors",
        &[&heads[..], &["--pool", "weighted"]].concat(),
        &["--pool", "calibration data"],
    );
    refuses(
        folder.path(),
        "good.safetensors",
        &[&heads[..], &["--expand", "--uniformise"]].concat(),
        &["--uniformise"],
    );
    refuses(folder.path(), "missing.safetensors", &[], &["missing.safetensors", "No such file"]);

    let cut = fs::read(folder.path().join("good.safetensors")).expect("a file");
    fs::write(folder.path().join("cut.safetensors"), &cut[..cut.len() - 50]).expect("writes");
    refuses(folder.path(), "cut.safetensors", &heads, &["cut.safetensors", "bytes"]);
    fs::copy(data("code.pth"), folder.path().join("code.pth")).expect("a copy");
    refuses(folder.path(), "code.pth", &heads, &["code.pth", "system", "nothing in it is run"]);
}

#[test]
fn values_that_are_not_finite_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, dtype) in [
        ("blocks.1.attn.qkv.weight", Dtype::F32),
        ("blocks.0.attn.proj.bias", Dtype::F16),
        ("blocks.0.mlp.fc2.weight", Dtype::F32),
        ("head.weight", Dtype::BF16),
    ] {
        let path = folder.path().join("bad.safetensors");
        models::write(&path, &timm(|_| {}), dtype);
        let mut bytes = fs::read(&path).expect("a file");
        let (n, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
        let from = 8 + n + header.info(name).expect("the tensor").data_offsets.0;
        let width = dtype.bitsize() / 8;
        bytes[from + 2 * width..from + 3 * width].fill(0xff);
        fs::write(&path, bytes).expect("writes");
        refuses(folder.path(), "bad.safetensors", &["--heads", "6"], &[name, "finite", "index 2"]);
    }
}

#[test]
fn folders_and_configurations_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("llama");
    let bad = |change: &dyn Fn(&mut serde_json::Value), words: &[&str]| {
        let _ = fs::remove_dir_all(&path);
        models::llama_folder(&path, "llama", [6, 6, 4], Dtype::F32);
        let config = path.join("config.json");
        let mut value: serde_json::Value =
            serde_json::from_slice(&fs::read(&config).expect("a file")).expect("JSON");
        change(&mut value);
        fs::write(&config, value.to_string()).expect("writes");
        let before = listing(folder.path());
        let output = run(folder.path(), &["convert", "llama", "--kv-heads", "3", "-o", "out"]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
        assert!(words.iter().all(|word| message.contains(word)), "{words:?} in: {message}");
        assert_eq!(before, listing(folder.path()), "nothing is left");
    };
    bad(&|c| c["model_type"] = "gpt2".into(), &["config.json", "model_type", "qwen2", "gpt2"]);
    bad(
        &|c| c["quantization_config"] = serde_json::json!({"bits": 4}),
        &["quantization_config", "quantised"],
    );
    bad(&|c| c["num_attention_heads"] = 5.into(), &["num_attention_heads", "24 rows"]);
    bad(&|c| c["num_attention_heads"] = "x".into(), &["num_attention_heads", "a whole number"]);
    bad(&|c| c["num_key_value_heads"] = 3.into(), &["num_key_value_heads", "k_proj"]);
    bad(&|c| c["num_hidden_layers"] = 3.into(), &["num_hidden_layers", "2"]);
    bad(&|c| c["model_type"] = "vit".into(), &["model_type", "Llama family"]);

    models::llama_folder(&path, "llama", [6, 6, 4], Dtype::F32);
    let refuses = |options: &[&str], words: &[&str]| {
        let output = run(folder.path(), &[&["convert", "llama", "--kv-heads", "3"], options].concat());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {message}");
        assert!(words.iter().all(|word| message.contains(word)), "{options:?}: {words:?} in: {message}");
    };
    refuses(&["-o", "out.safetensors"], &["--out", "a folder"]);
    fs::create_dir(folder.path().join("taken")).expect("a folder");
    fs::write(folder.path().join("taken/mine.txt"), "mine").expect("writes");
    refuses(&["-o", "taken"], &["taken", "exists already"]);
    refuses(&["-o", "taken", "--force"], &["taken", "mine.txt"]);
    assert_eq!(
        fs::read_to_string(folder.path().join("taken/mine.txt")).expect("a file"),
        "mine",
        "untouched"
    );
    for (text, words) in [
        ("{\"layers\":[]}", ["layers", "2 layers"]),
        ("{\"layers\":[{\"k\":[1],\"v\":[1]},{\"k\":[1],\"v\":[1]}]}", ["layers[0].k", "6 weights"]),
        ("{\"layer\":[]}", ["pool weights", "layer"]),
    ] {
        fs::write(folder.path().join("w.json"), text).expect("writes");
        refuses(&["-o", "new", "--pool-weights", "w.json"], &words);
    }
}

#[test]
fn headers_of_llama2c_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.bin");
    let bad = |change: &dyn Fn(&mut Vec<u8>), words: &[&str]| {
        models::llama2c(&path, 6, true);
        let mut bytes = fs::read(&path).expect("a file");
        change(&mut bytes);
        fs::write(&path, bytes).expect("writes");
        let output = run(folder.path(), &["convert", "bad.bin", "--kv-heads", "3", "-o", "out.bin"]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
        assert!(words.iter().all(|word| message.contains(word)), "{words:?} in: {message}");
        assert!(!folder.path().join("out.bin").exists(), "nothing is written");
    };
    let set = |at: usize, value: i32| {
        move |bytes: &mut Vec<u8>| bytes[4 * at..4 * at + 4].copy_from_slice(&value.to_le_bytes())
    };
    bad(&|bytes| bytes.truncate(20), &["header", "20 bytes"]);
    bad(&|bytes| bytes.truncate(bytes.len() - 4), &["freqs_sin", "bytes"]);
    bad(&|bytes| bytes.truncate(28 + 4 * 9 * 24), &["layers.0.attention_norm.weight"]);
    bad(&|bytes| bytes.push(0), &["length", "bytes for this header"]);
    bad(&set(0, 0), &["dim", "above zero"]);
    bad(&set(2, i32::MAX), &["n_layers", "at most"]);
    bad(&set(3, 5), &["n_heads", "a divisor"]);
    bad(&set(4, 4), &["n_kv_heads", "a divisor"]);
    bad(&set(4, 7), &["n_kv_heads", "at most"]);
    bad(&set(5, i32::MIN), &["tok_embeddings.weight", "bytes"]);
    bad(&set(0, 0x616b_3432), &["ak42"]);
    bad(&set(4, -6), &["kd_gqa.json"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn damaged_files_never_panic(edits in prop::collection::vec((any::<u32>(), any::<u8>()), 1..4), cut: u16, llama2c: bool) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(if llama2c { "x.bin" } else { "x.safetensors" });
        if llama2c {
            models::llama2c(&path, 3, false);
        } else {
            models::write(&path, &timm(|_| {}), Dtype::F16);
        }
        let mut bytes = fs::read(&path).expect("a file");
        bytes.truncate(bytes.len().saturating_sub(usize::from(cut % 64)));
        let span = if llama2c { 28 } else { 2000 };
        for (at, value) in edits {
            bytes[at as usize % span] = value;
        }
        fs::write(&path, bytes).expect("writes");
        if let Ok(checkpoint) = kd_gqa::checkpoint::Checkpoint::open_with_heads(&path, None) {
            for layer in 0..checkpoint.n_layers() {
                let _ = checkpoint.attention(layer);
            }
        }
    }
}
