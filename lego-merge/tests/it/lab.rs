//! The bed through its binary: training, scores, interruption, refusals.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A bed so small that it trains in a second.
const SMALL: [&str; 12] =
    ["--hidden", "16", "--layers", "1", "--heads", "2", "--ffn", "16", "--batch", "16", "--steps", "60"];

fn lab(arguments: &[&str]) -> Output {
    let output = command(arguments).output();
    output.expect("lego-lab starts")
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lego-lab"));
    command.args(arguments);
    command
}

fn base(out: &Path, more: &[&str]) -> Output {
    let out = out.to_str().expect("a UTF-8 path");
    lab(&[&["base", "--out", out], &SMALL[..], more].concat())
}

fn adapt(base: &Path, out: &Path, more: &[&str]) -> Output {
    let (base, out) = (base.to_str().expect("a UTF-8 path"), out.to_str().expect("a UTF-8 path"));
    let small = ["--rank", "2", "--alpha", "4", "--steps", "20", "--batch", "8", "--lr", "1e-2"];
    lab(&[&["adapt", "--base", base, "--task", "rev", "--out", out], &small[..], more].concat())
}

#[track_caller]
fn done(output: &Output) -> Vec<Value> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "lego-lab succeeds: {stderr}");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "exit code 2: {stderr}");
    for word in words {
        assert!(stderr.contains(word), "`{word}` is named in: {stderr}");
    }
}

#[track_caller]
fn same_files(a: &Path, b: &Path, files: &[&str]) {
    for file in files {
        let read = |dir: &Path| std::fs::read(dir.join(file)).expect("the file was written");
        assert!(read(a) == read(b), "{file} has the same bytes");
    }
}

fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn scores(events: &[Value], name: &str, split: &str) -> Vec<(String, f64, f64)> {
    let wanted = |event: &&Value| event["name"] == name && event["split"] == split;
    let read = |event: &Value| {
        let number = |key: &str| event[key].as_f64().expect("a number");
        (event["task"].as_str().expect("a task").to_owned(), number("scale"), number("value"))
    };
    events.iter().filter(wanted).map(read).collect()
}

#[test]
fn a_bed_trains_scores_and_repeats() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| dir.path().join(name);
    // All batches long and many steps, so that there is something to score.
    let longer = ["--long-share", "1", "--steps", "300", "--lr", "1e-2"];
    let small: Vec<&str> = SMALL[..10].iter().chain(&longer).copied().collect();
    let out = at("base");
    let events = done(&lab(&[&["base", "--out", out.to_str().expect("UTF-8")], &small[..]].concat()));
    let losses: Vec<f64> =
        events.iter().filter(|e| e["name"] == "loss").filter_map(|e| e["value"].as_f64()).collect();
    assert!(losses.len() == 12 && losses[11] < losses[0], "the loss falls: {losses:?}");
    let progress = events.iter().rfind(|e| e["event"] == "progress").expect("a progress line");
    assert_eq!((&progress["done"], &progress["total"]), (&300.into(), &300.into()), "to the end");

    done(&adapt(&out, &at("rev"), &[]));
    done(&adapt(&out, &at("again"), &[]));
    let files = ["adapter_config.json", "adapter_model.safetensors"];
    same_files(&at("rev"), &at("again"), &files);
    done(&adapt(&out, &at("other"), &["--seed", "1"]));
    let weights = |name: &str| std::fs::read(at(name).join(files[1])).expect("the weights were written");
    assert!(weights("rev") != weights("other"), "another seed gives another adapter");
    assert_eq!(entries(dir.path()), ["again", "base", "other", "rev"], "nothing else is left");

    let score = |more: &[&str]| {
        let arguments =
            ["score", "--base", out.to_str().expect("UTF-8"), "--examples", "100", "--tasks", "maxb,par,rev"];
        done(&lab(&[&arguments[..], more].concat()))
    };
    let adapter = at("rev");
    let adapter = adapter.to_str().expect("UTF-8");
    let base_scores = scores(&score(&[]), "exact_match", "test");
    let tasks: Vec<&str> = base_scores.iter().map(|(task, _, _)| task.as_str()).collect();
    assert_eq!(tasks, ["maxb", "par", "rev"], "each task once, in the order asked for");
    assert!(base_scores[0].2 > 5.0, "the base has learned an easy task: {base_scores:?}");
    let grid = ["--adapter", adapter, "--grid", "30,0", "--tune-tasks", "maxb"];
    let events = score(&grid);
    let chosen = events.iter().find(|e| e["name"] == "tuned_scale").expect("a chosen scale");
    assert_eq!(chosen["value"], 0.0, "an adapter of another task does harm: {events:?}");
    let tuned: Vec<f64> =
        scores(&events, "exact_match_tuned", "test").into_iter().map(|(_, _, value)| value).collect();
    let untouched: Vec<f64> = base_scores.iter().map(|(_, _, value)| *value).collect();
    assert_eq!(tuned, untouched, "at scale 0 the model is the base");
    let validation = scores(&events, "exact_match", "validation");
    assert_eq!(validation.len(), 2, "the tuning task at each scale: {validation:?}");
    assert!(validation[0].2 < validation[1].2, "scale 30 is worse than 0: {validation:?}");
    assert_eq!(events, score(&[&grid[..], &["--threads", "1"]].concat()), "on any number of threads");
}

#[test]
fn a_killed_run_goes_on_and_ends_with_the_same_bytes() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    // Paths so long that the child's lines fill the pipe, and it waits, long before it is done.
    let long = dir.path().join("a".repeat(200)).join("b".repeat(200));
    let (straight, killed) = (long.join("straight"), long.join("killed"));
    let steps = ["--steps", "300"];
    done(&base(&straight, &steps));
    let files = ["config.json", "model.safetensors"];
    let out = killed.to_str().expect("UTF-8");
    let arguments = [&["base", "--out", out, "--checkpoint-secs", "0"], &SMALL[..], &steps].concat();
    let mut child =
        command(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("lego-lab starts");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let n_checkpoints =
        lines.map_while(Result::ok).filter(|line| line.contains("\"checkpoint\"")).take(20).count();
    child.kill().expect("the child can be killed");
    child.wait().expect("the child ends");
    assert_eq!(n_checkpoints, 20, "it was killed after 20 checkpoints");
    assert!(!killed.exists(), "nothing stands under the final name");
    let events = done(&base(&killed, &steps));
    let resumed = events.iter().find(|e| e["event"] == "resumed").expect("it goes on from a checkpoint");
    assert!(resumed["step"].as_u64() >= Some(19), "from a late one: {resumed}");
    same_files(&straight, &killed, &files);
    assert_eq!(entries(&long), ["killed", "straight"], "checkpoints are gone");
}

#[test]
fn checkpoints_of_another_run_and_existing_outputs_are_refused_without_force() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (out, twin) = (dir.path().join("base"), dir.path().join("twin"));
    // Stopped at its first line by a reader that has gone.
    let arguments = [&["base", "--out", out.to_str().expect("UTF-8"), "--seed", "3"], &SMALL[..]].concat();
    let mut child =
        command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("lego-lab starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the child ends");
    assert_eq!(output.status.code(), Some(0), "a broken pipe is no failure");
    assert!(output.stderr.is_empty(), "and nothing is said: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(entries(dir.path()), ["base.partial"], "it stopped with a checkpoint");

    refused(&base(&out, &["--seed", "4"]), &["another run", "--force", "step-00000025"]);
    done(&base(&out, &["--seed", "4", "--force"]));
    done(&base(&twin, &["--seed", "4"]));
    same_files(&out, &twin, &["config.json", "model.safetensors"]);
    refused(&base(&out, &["--seed", "5"]), &["exists", "--force"]);
    done(&base(&out, &["--seed", "5", "--force"]));
    let weights = |dir: &Path| std::fs::read(dir.join("model.safetensors")).expect("the file is there");
    assert!(weights(&out) != weights(&twin), "the output was replaced");
    assert_eq!(entries(dir.path()), ["base", "twin"], "nothing else is left");
}

#[test]
fn bad_arguments_and_files_are_named() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (model, out) = (dir.path().join("base"), dir.path().join("out"));
    done(&base(&model, &[]));
    refused(&lab(&["score"]), &["--base"]);
    refused(&lab(&["adapt", "--base", "x", "--out", "y", "--task", "fly"]), &["fly", "runmax"]);
    refused(&adapt(&model, &out, &["--targets", "q_proj,z_proj"]), &["--targets", "z_proj"]);
    refused(&adapt(&model, &out, &["--threads", "3"]), &["--batch", "8", "3"]);
    refused(&adapt(Path::new("no/base"), &out, &[]), &["no/base/config.json"]);
    refused(&base(&out, &["--heads", "5"]), &["--hidden", "16", "5"]);
    refused(&base(&out, &["--lr", "nan"]), &["--lr", "NaN"]);
    refused(&base(&model.join("config.json").join("below"), &[]), &["config.json"]);
    assert!(!out.exists(), "nothing was written");

    done(&adapt(&model, &out, &[]));
    let score = |adapter: &Path| {
        let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        lab(&["score", "--base", &path(&model), "--adapter", &path(adapter), "--examples", "4"])
    };
    done(&score(&out));
    let config = out.join("adapter_config.json");
    let text = std::fs::read_to_string(&config).expect("the configuration was written");
    for (from, to, words) in [
        ("\"r\": 2", "\"r\": 3", vec!["down_proj", "3", "2"]),
        ("\"bias\": \"none\"", "\"bias\": \"all\"", vec!["bias", "all"]),
        ("\"rank_pattern\": {}", "\"rank_pattern\": {\"(\": 2}", vec!["pattern", "("]),
    ] {
        assert!(text.contains(from), "{from} is in the configuration: {text}");
        std::fs::write(&config, text.replace(from, to)).expect("the configuration can be written");
        refused(&score(&out), &words);
    }
    std::fs::write(&config, &text).expect("the configuration can be mended");
    let weights = out.join("adapter_model.safetensors");
    let bytes = std::fs::read(&weights).expect("the weights were written");
    std::fs::write(&weights, &bytes[..bytes.len() - 1]).expect("the weights can be damaged");
    refused(&score(&out), &["adapter_model.safetensors"]);
}

#[test]
fn tasks_are_listed() {
    let tasks = done(&lab(&["tasks"]));
    assert_eq!(tasks.len(), 24, "every task has a line");
    let trained: Vec<&str> = tasks
        .iter()
        .filter(|task| task["adapter"] == true)
        .filter_map(|task| task["name"].as_str())
        .collect();
    assert_eq!(trained, ["rev", "sort", "inc", "comp", "rotr", "swapp", "runmax"], "the adapter tasks");
}
