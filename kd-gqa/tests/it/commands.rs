//! The commands that look at models and run them, as users do.

use std::path::Path;
use std::process::{Command, Output};

use burn::tensor::Device;
use grouping_core::folder::Existing;
use kd_gqa::allocation::{AllocationConfig, AllocationState, Fidelity, Method, Phase};
use kd_gqa::checkpoint::Checkpoint;
use kd_gqa::lab::images;
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
    vit.save(&folder.path().join("vit.safetensors"), None, Existing::Refuse).expect("a file");
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

#[test]
fn a_saved_allocation_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let device = Device::flex();
    let config = VitConfig::new([32; 2], [8; 2], 32, 2, 4, 64).with_n_classes(Some(10));
    let vit = config.with_kv_heads(2).expect("two of four").init(4, &device).expect("a model");
    images::write(&folder.path().join("images"), 3, 0, 1).expect("images");
    let eval = |name: &str, more: &[&str]| {
        let base = ["eval", "--weights", name, "--data", "images", "--json", "--batch-sizes", "5,30"];
        json(&run(folder.path(), &[&base[..], more].concat()))
    };
    let state = |fidelity| {
        let config = AllocationConfig::new(Method::DgqaEma).with_fidelity(fidelity).with_window(1);
        let mut state = AllocationState::new(config.with_temperature(4.0), 4, &[2, 2]).expect("a state");
        state.observe(0, Phase::Training { step: 0 }, &[1.0, 9.0]).expect("norms");
        state.observe(1, Phase::Training { step: 0 }, &[5.0, 3.0]).expect("norms");
        state
    };
    let robust = state(Fidelity::Robust);
    assert_eq!(robust.groups(0).sizes(), [1, 3], "unequal, so that it matters");
    let path = folder.path().join("vit.safetensors");
    vit.save(&path, Some(&robust), Existing::Refuse).expect("a file");
    let source = Checkpoint::open(&path).expect("a checkpoint");
    assert_eq!(source.allocation(), Some(&robust), "its state");
    assert_eq!(&source.groups()[0], robust.groups(0), "its groups");
    let value = eval("vit.safetensors", &[]);
    assert_eq!(value["batches"]["5"], value["batches"]["30"], "frozen: {value}");
    let mut ragged = vit.clone();
    ragged.set_groups(source.groups().to_vec()).expect("its heads");
    ragged.save(&folder.path().join("ragged.safetensors"), None, Existing::Refuse).expect("a file");
    assert_eq!(value["batches"], eval("ragged.safetensors", &[])["batches"], "the groups in use");

    // The released code's goes on allocating, from its saved cache.
    let official = state(Fidelity::Official);
    vit.save(&folder.path().join("official.safetensors"), Some(&official), Existing::Refuse).expect("a file");
    let saved = eval("official.safetensors", &[]);
    let named = ["--allocation", "dgqa-ema", "--fidelity", "official", "--window", "1"];
    assert_eq!(saved["n"], 30, "{saved}");
    assert_eq!(eval("official.safetensors", &named)["n"], 30, "and what is asked for is done");

    // Conversion keeps the state while the heads are the same, and drops it where they are not.
    let convert = |kv_heads: &str, out: &str| {
        let words = ["convert", "vit.safetensors", "--kv-heads", kv_heads, "--ragged", "-o", out, "--json"];
        json(&run(folder.path(), &words));
        Checkpoint::open(folder.path().join(out)).expect("a checkpoint").allocation().cloned()
    };
    assert_eq!(convert("2", "same.safetensors"), Some(robust));
    assert_eq!(convert("1", "fewer.safetensors"), None);

    let other = AllocationState::new(AllocationConfig::new(Method::Kdgqa), 4, &[2, 1]).expect("a state");
    let error = vit.save(&path, Some(&other), Existing::Replace).expect_err("other heads").to_string();
    assert!(error.contains("[2, 2]") && error.contains("[2, 1]"), "{error}");
    let record = folder.path().join("kd_gqa.json");
    assert!(record.exists(), "beside the first");
}
