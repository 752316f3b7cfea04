//! The command as users run it: output folders, tables, JSON, exit status.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lego_merge::adapter::Adapter;
use serde_json::Value;

use crate::adapters::committed;

/// Runs the binary without a terminal.
pub(crate) fn run<S: Into<OsString>>(args: impl IntoIterator<Item = S>) -> Output {
    command(args).output().expect("the binary runs")
}

pub(crate) fn command<S: Into<OsString>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lego-merge"));
    command.args(args.into_iter().map(Into::into));
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn merge_args(sources: &[PathBuf], out: &Path, more: &[&str]) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["merge".into()];
    args.extend(sources.iter().map(OsString::from));
    args.extend(["-o".into(), out.into()]);
    args.extend(more.iter().map(OsString::from));
    args
}

fn sources(case: &str) -> [PathBuf; 2] {
    [committed(case, 0), committed(case, 1)]
}

/// The adapter's files, its card and its recipe; fails when there is anything else in the folder.
fn files(folder: &Path) -> [Vec<u8>; 4] {
    let names = ["README.md", "adapter_config.json", "adapter_model.safetensors", "merge.json"];
    let mut found: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").file_name()).collect();
    found.sort();
    assert_eq!(found, names, "an output folder holds an adapter, how it was made, and nothing else");
    names.map(|name| std::fs::read(folder.join(name)).expect("a file"))
}

#[test]
fn every_method_writes_an_adapter_and_a_summary() {
    let folder = tempfile::tempdir().expect("a folder");
    let pruned = ["ties", "dare-linear", "dare-ties", "magnitude-prune"].map(|method| (method, 4));
    let dense =
        ["ties-svd", "dare-linear-svd", "dare-ties-svd", "magnitude-prune-svd", "ties-delta", "dare-delta"];
    let pruned: Vec<_> = pruned.into_iter().chain(dense.map(|method| (method, 4))).collect();
    let whole = [("lego", 4), ("linear", 4), ("cat", 8), ("svd", 4), ("task-arithmetic", 8), ("average", 4)];
    let subspaces = [("knots", 8), ("core-space", 8)];
    let pruned: Vec<_> = pruned.into_iter().chain(subspaces).collect();
    for (method, rank) in whole.into_iter().chain([("tsv", 8)]).chain(pruned.clone()) {
        let out = folder.path().join(method);
        let more = ["--method", method, "--density", "0.5"];
        let more = if pruned.contains(&(method, rank)) { &more[..] } else { &more[..2] };
        let output = run(merge_args(&sources("plain"), &out, more));
        assert_eq!(output.status.code(), Some(0), "{method}: {}", text(&output.stderr));
        assert!(output.stderr.is_empty(), "{method}: no bar and no noise without a terminal");
        let summary = text(&output.stdout);
        for word in [method, "rank", "distance", "written"] {
            assert!(summary.contains(word), "{method}: the summary has no `{word}`:\n{summary}");
        }
        let merged = Adapter::read(&out).expect("an adapter");
        assert!(
            merged.modules().iter().all(|m| m.rank == rank && m.scale == 1.0),
            "{method}: rank {rank}, scale 1"
        );
        assert!(merged.warnings().is_empty(), "{method}: {:?}", merged.warnings());
    }
}

#[test]
fn lego_is_the_default_and_its_switches_change_the_result() {
    let folder = tempfile::tempdir().expect("a folder");
    let merged = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        // 3 of 8 units: not the sources' rank, so that the output's factor is not 1.
        let output = run(merge_args(&sources("plain"), &out, &[&["--rank", "3"], more].concat()));
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        files(&out)[2].clone()
    };
    let plain = merged("default", &[]);
    assert_eq!(plain, merged("named", &["--method", "lego", "--seed", "0"]), "the default is lego, seed 0");
    assert_ne!(plain, merged("p", &["--no-parameter-reweighting"]), "parameter reweighting can be left out");
    assert_ne!(plain, merged("o", &["--no-output-reweighting"]), "output reweighting can be left out");
    assert_ne!(plain, merged("w", &["--weights", "1,-0.5"]), "weights count");
}

#[test]
fn each_option_of_lego_changes_the_result_and_replaces_a_presets() {
    let folder = tempfile::tempdir().expect("a folder");
    let merged = |more: &[&str]| {
        let out = folder.path().join("merged");
        let args = [&["--rank", "3", "--force"], more].concat();
        let output = run(merge_args(&[0, 1, 2].map(|i| committed("halves", i)), &out, &args));
        assert!(output.status.success(), "{more:?}: {}", text(&output.stderr));
        (files(&out)[2].clone(), text(&output.stdout))
    };
    let plain = merged(&[]).0;
    for same in [
        &["--features", "raw", "--gauge", "raw", "--norm", "inf", "--ref-rank", "mean", "--restarts", "10"][..],
        &["--preset", "smoea", "--ref-rank", "mean"],
        &["--ref-rank", "median"],
    ] {
        assert_eq!(merged(same).0, plain, "{same:?} says the default");
    }
    for other in [
        &["--gauge", "balanced"][..],
        &["--norm", "l2"],
        &["--norm", "none"],
        &["--ref-rank", "6"],
        &["--preset", "smoea"],
        &["--preset", "nsc"],
    ] {
        assert_ne!(merged(other).0, plain, "{other:?} counts");
    }
    assert_eq!(
        merged(&["--norm", "none"]).0,
        merged(&["--no-parameter-reweighting"]).0,
        "two ways to say it"
    );
    let summary = merged(&["--antipodal"]).1;
    for word in ["clusters with ranks of several adapters", "adapter-2: cosine 0.", "retained energy"] {
        assert!(summary.contains(word), "the summary has no `{word}`:\n{summary}");
    }
}

#[test]
fn the_same_command_writes_the_same_bytes_with_any_number_of_threads() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = None;
    for (i, threads) in ["1", "2", "5"].iter().enumerate() {
        let out = folder.path().join(i.to_string());
        let args = merge_args(&sources("ranks"), &out, &["--seed", "7", "--rank", "3"]);
        let status = command(args).env("RAYON_NUM_THREADS", threads).output().expect("runs").status;
        assert!(status.success(), "{threads} threads");
        let found = files(&out);
        assert_eq!(&found, first.get_or_insert_with(|| found.clone()), "{threads} threads against 1");
    }
}

#[test]
fn json_is_one_object_with_every_module() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("merged");
    let output = run(merge_args(&sources("partial"), &out, &["--json"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let modules = report["modules"].as_array().expect("modules");
    assert_eq!(modules.len(), 5, "q and v of two layers, down of one");
    let shared = modules.iter().find(|m| m["module"] == "layers.1.v").expect("the module that both have");
    assert_eq!(shared["source_ranks"], serde_json::json!([3, 3]), "{shared}");
    assert_eq!(shared["clusters"]["sizes"].as_array().map(Vec::len), Some(3), "{shared}");
    assert_eq!(shared["clusters"]["sources"].as_array().map(Vec::len), Some(3), "{shared}");
    for kept in [&report["agreement"][1], &shared["agreement"][1]] {
        assert_eq!(kept["adapter"], 1, "{kept}");
        for name in ["norm", "cosine", "retained_energy"] {
            assert!(kept[name].as_f64().is_some_and(|v| v > 0.0), "{name}: {kept}");
        }
    }
    assert!(report["relative_distance"].as_f64().is_some_and(|d| d > 0.0), "{report}");
}

#[test]
fn modules_of_some_adapters_get_their_own_rank() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("merged");
    let output = run(merge_args(&sources("partial"), &out, &["--rank", "5"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let merged = Adapter::read(&out).expect("an adapter");
    for module in merged.modules() {
        let expected = if module.name == "layers.1.v" { 5 } else { 3 };
        assert_eq!(module.rank, expected, "{}: min(k, its units)", module.name);
    }
    let config = merged.config();
    assert_eq!(config.rank_pattern.len(), 4, "smaller modules are listed: {:?}", config.rank_pattern);
    assert_eq!(
        config.alpha_pattern.len(),
        4,
        "with an α that makes their scale 1: {:?}",
        config.alpha_pattern
    );
    let layers = config.other.get("layers_to_transform").filter(|v| !v.is_null());
    assert_eq!(layers, None, "no adapter's restriction to some layers remains");
}

#[test]
fn a_head_is_carried_with_its_task_and_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let [with_head, without] = sources("conv1d");
    for (name, order) in [("first", [with_head.clone(), without.clone()]), ("second", [without, with_head])] {
        let out = folder.path().join(name);
        let output = run(merge_args(&order, &out, &["--method", "cat"]));
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        let merged = Adapter::read(&out).expect("an adapter");
        assert_eq!(merged.heads(), ["score.weight"], "{name}: the head is there");
        assert_eq!(merged.config().modules_to_save, Some(vec!["score".into()]), "{name}: and listed");
        assert!(merged.config().fan_in_fan_out, "{name}: the layout is kept");
    }
}

#[test]
fn inspect_shows_ranks_scales_norms_spectra_and_clusters() {
    let [x, y] = sources("rslora");
    let output = run([OsString::from("inspect"), x.clone().into(), y.clone().into()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    for word in ["rsLoRA", "layers.0.q", "singular values", "cluster sizes", "inertia"] {
        assert!(table.contains(word), "no `{word}` in\n{table}");
    }
    let output = run([OsString::from("inspect"), x.into(), y.into(), "--json".into()]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let module = &report["adapters"][0]["modules"][0];
    assert_eq!(module["scale"], 4.0, "8 / √4: {module}");
    let values: Vec<f64> =
        module["singular_values"].as_array().expect("values").iter().filter_map(Value::as_f64).collect();
    assert!(values.is_sorted_by(|a, b| a >= b) && values.len() == 4, "falling: {values:?}");
    let norm = values.iter().map(|s| s * s).sum::<f64>().sqrt();
    assert!(
        (module["norm"].as_f64().expect("a norm") / norm - 1.0).abs() < 1e-9,
        "‖σ‖ is the norm: {module}"
    );
    let sizes = report["clusters"][0]["clusters"]["sizes"].as_array().expect("sizes");
    assert_eq!(
        sizes.iter().filter_map(Value::as_u64).sum::<u64>(),
        8,
        "every unit is in a cluster: {sizes:?}"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let args = [OsString::from("inspect"), committed("plain", 0).into(), "--json".into()];
    let mut child = command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().expect("stderr").read_to_string(&mut errors).expect("text");
    assert_eq!(child.wait().expect("ends").code(), Some(0), "{errors}");
    assert_eq!(errors, "", "nothing is said about it");
}

#[test]
fn force_replaces_an_adapter_and_may_replace_a_source() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("merged");
    let first = run(merge_args(&sources("plain"), &out, &["--method", "svd"]));
    assert!(first.status.success(), "{}", text(&first.stderr));
    let source = files(&out);
    let again = [out.clone(), committed("plain", 1)];
    let output = run(merge_args(&again, &out, &["--method", "cat", "--force"]));
    assert!(output.status.success(), "the output may be one of the sources: {}", text(&output.stderr));
    assert_ne!(files(&out), source, "the adapter was replaced");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else is left");
}

#[test]
fn convert_says_as_json_what_it_wrote() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("one.safetensors");
    let [with_head, _] = sources("conv1d");
    let convert = |more: &[&str]| {
        let args = [OsString::from("convert"), with_head.clone().into(), "-o".into(), out.clone().into()];
        run(args.into_iter().chain(more.iter().map(OsString::from)))
    };
    let output = convert(&["--json", "--dtype", "bf16"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let written = Adapter::read(&out).expect("an adapter");
    for (field, expected) in [
        ("event", Value::from("converted")),
        ("from", "peft".into()),
        ("to", "peft".into()),
        ("modules", written.modules().len().into()),
        ("heads", written.heads().into()),
        ("out", out.display().to_string().into()),
    ] {
        assert_eq!(report[field], expected, "{field}: {report}");
    }
    let types = written.modules().iter().filter_map(|m| written.types(&m.name));
    assert!(types.flatten().all(|dtype| dtype == "BF16"), "of the type that was asked for");
    assert_eq!(convert(&["--json"]).status.code(), Some(2), "what is there is not replaced unasked");
    assert!(convert(&["--json", "--force"]).status.success(), "but by --force");
}

#[test]
fn modules_that_were_left_out_are_no_targets_of_the_result() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("merged");
    let targets = |more: &[&str]| {
        let output = run(merge_args(&sources("plain"), &out, more));
        assert!(output.status.success(), "{more:?}: {}", text(&output.stderr));
        let config: Value = serde_json::from_slice(&files(&out)[1]).expect("JSON");
        config["target_modules"].clone()
    };
    assert_eq!(targets(&[]), serde_json::json!(["q", "v"]), "all modules: by their ends");
    let left = serde_json::json!(["layers.0.q", "layers.0.v"]);
    assert_eq!(targets(&["--include", "layers.0", "--force"]), left, "one layer: by full names");
}
