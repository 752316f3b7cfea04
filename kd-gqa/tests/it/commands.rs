//! The commands that look at models and run them, as users do.

use std::path::Path;
use std::process::{Command, Output};

use burn::tensor::Device;
use kd_gqa::lab::{images, timm};
use kd_gqa::vit::VitConfig;
use serde_json::Value;

fn run(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kd-gqa"))
        .args(words)
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}

/// A folder with a small model of four heads and images of its ten classes.
fn bed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let config = VitConfig::new([32; 2], [8; 2], 32, 2, 4, 64).with_n_classes(Some(10));
    let vit = config.init(4, &Device::flex()).expect("a model");
    timm::write(&vit, &folder.path().join("vit.safetensors")).expect("a file");
    images::write(&folder.path().join("images"), 3, 0, 1).expect("images");
    folder
}

fn json(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn eval_scores_each_batch_size_and_the_first_counts() {
    let folder = bed();
    let base = ["eval", "--weights", "vit.safetensors", "--heads", "4", "--data", "images", "--json"];
    let value = json(&run(folder.path(), &[&base[..], &["--batch-sizes", "7,30"]].concat()));
    assert_eq!(value["n"], 30, "all images: {value}");
    assert_eq!(value["top1"], value["batches"]["7"]["top1"], "the first batch size counts: {value}");
    assert_eq!(
        value["batches"]["7"], value["batches"]["30"],
        "uniform groups do not mind the batch: {value}"
    );
    assert!(value["top5"].as_f64() >= value["top1"].as_f64(), "{value}");
    let limited = json(&run(folder.path(), &[&base[..], &["--limit", "11"]].concat()));
    assert_eq!(limited["n"], 11, "{limited}");
    assert!(!limited["batches"]["250"].is_null(), "the default batch: {limited}");
    for allocation in ["uniform", "kdgqa", "dgqa-diff", "dgqa-ema", "pgqa"] {
        let value = json(&run(folder.path(), &[&base[..], &["--allocation", allocation]].concat()));
        assert_eq!(value["n"], 30, "{allocation}: {value}");
    }
    let table = run(folder.path(), &base[..base.len() - 1]);
    assert!(String::from_utf8_lossy(&table.stdout).contains("top-1"), "a table without --json");
}

#[test]
fn converting_with_calibration_and_the_rest_of_the_tour() {
    let folder = bed();
    let convert = [
        "convert",
        "vit.safetensors",
        "--heads",
        "4",
        "--kv-heads",
        "2",
        "--grouping",
        "similarity",
        "--align",
        "procrustes",
        "--calibration",
        "images",
        "--calibration-images",
        "20",
        "--pool",
        "weighted",
        "-o",
        "half.safetensors",
    ];
    let output = run(folder.path(), &convert);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let again = run(folder.path(), &[&convert[..convert.len() - 1], &["again.safetensors"]].concat());
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).expect("a file");
    assert_eq!(bytes("half.safetensors"), bytes("again.safetensors"), "the same seed, the same bytes");
    let value =
        json(&run(folder.path(), &["eval", "--weights", "half.safetensors", "--data", "images", "--json"]));
    assert_eq!(value["n"], 30, "the number of heads is in the file: {value}");
    let lines = run(
        folder.path(),
        &[
            "classify",
            "--weights",
            "half.safetensors",
            "images/disc/00000.png",
            "images/ring/00001.png",
            "--json",
        ],
    );
    let classes = json(&lines)["classes"].as_array().expect("classes").len();
    assert_eq!(
        (String::from_utf8_lossy(&lines.stdout).lines().count(), classes),
        (2, 5),
        "five classes an image"
    );
    let seen = json(&run(
        folder.path(),
        &["inspect", "vit.safetensors", "--heads", "4", "--json", "--plot", "heads.svg"],
    ));
    assert_eq!(seen["layers"][1]["key_norms"].as_array().map(Vec::len), Some(4), "{seen}");
    assert!(
        std::fs::read_to_string(folder.path().join("heads.svg")).expect("a plot").contains("layer 1"),
        "a map a layer"
    );
    let data = ["inspect", "half.safetensors", "--data", "images", "--limit", "10"];
    assert!(run(folder.path(), &data).status.success(), "by activations");
    let counted = json(&run(
        folder.path(),
        &["account", "vit.safetensors", "--heads", "4", "--kv-heads", "2", "--json"],
    ));
    let (before, after) = (&counted["before"]["parameters"], &counted["after"]["parameters"]);
    assert_eq!(before.as_u64().zip(after.as_u64()).map(|(b, a)| b - a), Some(2 * 2 * 16 * 33), "{counted}");
}

#[test]
fn what_is_wrong_is_named_with_status_2() {
    let folder = bed();
    std::fs::create_dir(folder.path().join("empty")).expect("a folder");
    let convert = ["convert", "vit.safetensors", "--heads", "4", "--kv-heads", "2", "-o", "o.safetensors"];
    let eval = ["eval", "--weights", "vit.safetensors", "--heads", "4", "--data"];
    let cases: [(Vec<&str>, &str); 9] = [
        ([&convert[..], &["--align", "procrustes"]].concat(), "calibration"),
        ([&convert[..], &["--calibration", "empty"]].concat(), "found none"),
        ([&convert[..], &["--calibration", "absent"]].concat(), "absent"),
        ([&eval[..], &["empty"]].concat(), "found none"),
        ([&eval[..], &["images/disc"]].concat(), "a folder a class"),
        ([&eval[..], &["images", "--batch-sizes", "0"]].concat(), "batch"),
        ([&eval[..], &["images", "--limit", "0"]].concat(), "--limit"),
        ([&eval[..], &["images", "--std", "0,1,1"]].concat(), "above zero"),
        (vec!["classify", "--weights", "vit.safetensors", "--heads", "4", "vit.safetensors"], "PNG or JPEG"),
    ];
    for (words, expected) in cases {
        let output = run(folder.path(), &words);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
        assert!(message.contains(expected), "{words:?}: no `{expected}` in {message}");
        assert!(output.stdout.is_empty(), "{words:?}: nothing on stdout");
    }
    assert!(!folder.path().join("o.safetensors").exists(), "nothing is written");
}
