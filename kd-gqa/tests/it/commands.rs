//! The commands that look at models and run them, as users do.

use std::path::Path;
use std::process::{Command, Output};

use burn::tensor::{Device, Tensor};
use grouping_core::Activation;
use grouping_core::files::output::Existing;
use grouping_core::image::{ImageFolder, Preparation};
use kd_gqa::allocation::{AllocationConfig, AllocationState, Fidelity, Method, Phase};
use kd_gqa::checkpoint::Checkpoint;
use kd_gqa::evaluate::batch_tensor;
use kd_gqa::inference::Inference;
use kd_gqa::vit::{VitConfig, read_vit};
use serde_json::Value;

use crate::data::procedural_images;

pub(crate) fn run(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kd-gqa"))
        .args(words)
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}

/// A folder with a small model of four heads and images of its ten classes.
pub(crate) fn bed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let config = VitConfig::new([32; 2], [8; 2], 32, 2, 4, 64).with_n_classes(Some(10));
    let vit = config.init(4, &Device::flex()).expect("a model");
    vit.save(&folder.path().join("vit.safetensors"), None, Existing::Refuse).expect("a file");
    procedural_images(&folder.path().join("images"), 3, 0, 1);
    folder
}

pub(crate) fn json(output: &Output) -> Value {
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
        &[
            "account",
            "vit.safetensors",
            "--heads",
            "4",
            "--kv-heads",
            "2",
            "--mean",
            "0.4,0.5,0.6",
            "--std",
            "0.2,0.2,0.2",
            "--json",
        ],
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
    let cases: [(Vec<&str>, &str); 11] = [
        ([&convert[..], &["--align", "procrustes"]].concat(), "calibration"),
        ([&convert[..], &["--calibration", "empty"]].concat(), "found none"),
        ([&convert[..], &["--calibration", "absent"]].concat(), "absent"),
        ([&eval[..], &["empty"]].concat(), "found none"),
        ([&eval[..], &["images/disc"]].concat(), "a folder a class"),
        ([&eval[..], &["images", "--batch-sizes", "0"]].concat(), "batch"),
        ([&eval[..], &["images", "--limit", "0"]].concat(), "--limit"),
        ([&eval[..], &["images", "--batch-sizes", "5,5"]].concat(), "5 twice"),
        ([&eval[..], &["images", "--std", "0,1,1"]].concat(), "above zero"),
        (vec!["inspect", "vit.safetensors", "--heads", "4", "--data", "images", "--limit", "0"], "--limit"),
        (vec!["classify", "--weights", "vit.safetensors", "--heads", "4", "vit.safetensors"], "PNG, JPEG"),
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
    procedural_images(&folder.path().join("images"), 3, 0, 1);
    let eval = |name: &str, more: &[&str]| {
        let base = ["eval", "--weights", name, "--data", "images", "--json", "--batch-sizes", "5,30"];
        json(&run(folder.path(), &[&base[..], more].concat()))
    };
    let state = |fidelity, norms: [f32; 2]| {
        let config = AllocationConfig::new(Method::DgqaEma).with_fidelity(fidelity).with_window(1);
        let mut state = AllocationState::new(config.with_temperature(4.0), 4, &[2, 2]).expect("a state");
        state.observe(0, Phase::Training { step: 0 }, &norms).expect("norms");
        state.observe(1, Phase::Training { step: 0 }, &[5.0, 3.0]).expect("norms");
        state
    };
    let robust = state(Fidelity::Robust, [1.0, 9.0]);
    assert_eq!(robust.groups(0).sizes(), [1, 3], "unequal, so that it matters");
    let path = folder.path().join("vit.safetensors");
    vit.save(&path, Some(&robust), Existing::Refuse).expect("a file");
    let source = Checkpoint::open(&path).expect("a checkpoint");
    assert_eq!(AllocationState::of(&source).expect("a state"), Some(robust.clone()), "its state");
    assert_eq!(&source.groups()[0], robust.groups(0), "its groups");
    let value = eval("vit.safetensors", &[]);
    assert_eq!(value["batches"]["5"], value["batches"]["30"], "frozen: {value}");
    let mut ragged = vit.clone();
    ragged.set_groups(source.groups().to_vec()).expect("its heads");
    ragged.save(&folder.path().join("ragged.safetensors"), None, Existing::Refuse).expect("a file");
    assert_eq!(value["batches"], eval("ragged.safetensors", &[])["batches"], "the groups in use");

    // The released code's goes on allocating, from its saved cache.
    // It has seen far larger norms than the model has.
    let official = state(Fidelity::Official, [1e6, 1.0]);
    let place = folder.path().join("official.safetensors");
    vit.save(&place, Some(&official), Existing::Refuse).expect("a file");
    let source = Checkpoint::open(&place).expect("a checkpoint");
    let images = ImageFolder::open(&folder.path().join("images")).expect("images").first(6);
    let batch = batch_tensor(&images, &Preparation::new(32), &device).expect("a batch");
    let logits = |mut inference: Inference| {
        let out = vit.forward_hooked(batch.clone(), &mut |call| inference.attend(call)).expect("logits");
        out.into_data().try_into_vec::<f32>().expect("floats")
    };
    let saved = logits(Inference::saved(&source).expect("a state"));
    assert_eq!(saved, logits(Inference::Allocated(Box::new(official.clone()))), "the state");
    let fresh = AllocationState::of_groups(official.config().clone(), source.groups()).expect("a state");
    let fresh = Inference::Allocated(Box::new(fresh));
    assert_ne!(saved, logits(fresh), "not one that has seen nothing");
    assert_ne!(saved, logits(Inference::Own), "not the groups alone");
    assert_eq!(eval("official.safetensors", &[])["n"], 30, "by the command");
    let classify =
        run(folder.path(), &["classify", "--weights", "official.safetensors", "images/disc/00000.png"]);
    assert!(classify.status.success(), "{}", String::from_utf8_lossy(&classify.stderr));

    // Conversion keeps the state while the heads are the same, and drops it where they are not.
    let convert = |kv_heads: &str, out: &str| {
        let words = ["convert", "vit.safetensors", "--kv-heads", kv_heads, "--ragged", "-o", out, "--json"];
        let report = json(&run(folder.path(), &words));
        let found = Checkpoint::open(folder.path().join(out)).expect("a checkpoint");
        let found = AllocationState::of(&found).expect("a state or none");
        assert_eq!(report["allocation_dropped"], found.is_none(), "it says so: {report}");
        found
    };
    assert_eq!(convert("2", "same.safetensors"), Some(robust));
    assert_eq!(convert("1", "fewer.safetensors"), None);

    let other = AllocationState::new(AllocationConfig::new(Method::Kdgqa), 4, &[2, 1]).expect("a state");
    let error = vit.save(&path, Some(&other), Existing::Replace).expect_err("other heads").to_string();
    assert!(error.contains("[2, 2]") && error.contains("[2, 1]"), "{error}");
    let path = folder.path().join("odd.safetensors");
    let refused = |config: VitConfig, wanted: &str| {
        let odd = config.init(1, &device).expect("a model").save(&path, None, Existing::Refuse);
        let error = odd.expect_err("not timm's").to_string();
        assert!(error.contains(wanted), "{error}");
    };
    let config = VitConfig::new([32; 2], [8; 2], 32, 1, 4, 64);
    refused(config.clone().with_norm_first(false), "norms first");
    refused(config.clone().with_activation(Activation::Relu), "GELU");
    refused(config.clone().with_norm_eps(1e-12), "1e-12");
    refused(VitConfig::new([16, 32], [8; 2], 32, 1, 4, 64), "[16, 32]");
    assert!(!path.exists(), "nothing is written");
    for config in [
        config.clone().with_class_token(false).with_final_norm(false),
        config.clone().with_attention_bias(false).with_head_dim(Some(4)),
        config.with_n_classes(Some(3)).with_qk_norm(true),
    ] {
        let vit = config.init(2, &device).expect("a model");
        vit.save(&path, None, Existing::Replace).expect("a file");
        let again = read_vit(&Checkpoint::open(&path).expect("a checkpoint"), &device).expect("a model");
        assert_eq!(again.tensors(), vit.tensors(), "{config:?}");
        let image = || Tensor::ones([1, 3, 32, 32], &device);
        let logits = [&vit, &again].map(|vit| vit.forward(image()).expect("logits").into_data());
        assert_eq!(logits[0], logits[1], "{config:?}");
    }
}
