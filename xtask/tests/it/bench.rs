//! `cargo xtask bench` on a small crate whose bench target writes criterion's files, and a script that stands where Python would.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::repro::{command, text, workspace};

/// A bench target that has criterion's arguments and files: it "measures" `group/fast` as 2 ms, and says when it was run.
const TARGET: &str = r#"
use std::{env, fs, io::Write};
fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    assert!(args[..3] == ["--bench", "--noplot", "--exact"], "as Cargo and the runner pass them: {args:?}");
    let log = env::var("TOY_LOG").expect("a log");
    let mut log = fs::File::options().append(true).create(true).open(log).expect("the log");
    writeln!(log, "ours {}", args[3]).expect("written");
    let (id, folder) = (&args[3], args[3].replace('/', "_"));
    if id.ends_with("fast") {
        let home = std::path::PathBuf::from(env::var_os("CRITERION_HOME").expect("a place")).join(folder).join("new");
        fs::create_dir_all(&home).expect("made");
        fs::write(home.join("benchmark.json"), format!("{{\"full_id\":\"{id}\"}}")).expect("written");
        fs::write(home.join("estimates.json"), "{\"median\":{\"point_estimate\":2e6}}").expect("written");
    }
}
"#;

/// The reference takes 4 ms, and 10 ms from its third run on; its CPU time is 8 ms.
const SCRIPT: &str = r#"#!/bin/sh
echo "reference $2" >> "$TOY_LOG"
wall=0.004
test "$(grep -c reference "$TOY_LOG")" -lt 3 || wall=0.01
echo "{\"event\":\"bench\",\"name\":\"other\",\"wall_secs\":99.0,\"cpu_secs\":99.0}"
echo "{\"event\":\"bench\",\"name\":\"$2\",\"wall_secs\":$wall,\"cpu_secs\":0.008}"
"#;

const CASES: &str = r#"
rounds = 3
[[case]]
name = "wall"
criterion = { bench = "speed", id = "group/fast" }
reference = { script = "s.py", args = ["{name}"], name = "fast" }
at-most = 0.5
[[case]]
name = "cpu"
criterion = { bench = "speed", id = "group_cpu/fast" }
measure = "cpu"
reference = { script = "s.py", args = ["{name}"], name = "fast" }
at-most = 0.25
[[case]]
name = "versus"
criterion = { bench = "speed", id = "group/fast" }
versus.criterion = { bench = "speed", id = "other/fast" }
rounds = 2
at-most = 1.0
[[case]]
name = "process"
process = { binary = "toy", args = [], runs = 1 }
measure = "memory"
rounds = 1
limit = 1e9
"#;

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, content).expect("written");
}

#[test]
fn ours_and_the_reference_alternate() {
    let root = workspace(&[]);
    let root = root.path();
    write(
        root,
        "Cargo.toml",
        "[package]\nname = \"toy\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[[bench]]\nname = \"speed\"\nharness = false\n\
         [workspace]\n",
    );
    write(root, "src/main.rs", "fn main() {}\n");
    write(root, "benches/speed.rs", TARGET);
    write(root, "venv/bin/python", SCRIPT);
    fs::set_permissions(root.join("venv/bin/python"), PermissionsExt::from_mode(0o755)).expect("set");
    let log = root.join("log");
    let bench = |cases: &str| {
        write(root, "xtask/benches/toy.toml", cases);
        let _ = fs::remove_file(&log);
        command(root, &["bench", "--reference"])
            .arg(root.join("venv"))
            .env("CARGO_TARGET_DIR", root.join("target"))
            .env("TOY_LOG", &log)
            .output()
            .expect("xtask starts")
    };

    let output = bench(CASES);
    assert_eq!(output.status.code(), Some(0), "within limits: {}", text(&output.stderr));
    let [wall, cpu, reference, other] =
        ["ours group/fast", "ours group_cpu/fast", "reference fast", "ours other/fast"];
    let want = [
        [wall, reference, cpu],
        [cpu, reference, wall],
        [wall, reference, cpu],
        // And the case without a reference: two rounds, in an order that turns.
        [wall, other, other],
    ];
    let want = want.concat().join("\n") + "\n" + wall + "\n";
    assert_eq!(fs::read_to_string(&log).expect("a log"), want, "side by side in every round");

    let stored = fs::read(root.join("results/bench/toy.json")).expect("results");
    let stored: Value = serde_json::from_slice(&stored).expect("JSON");
    let ratios = |case: &Value| case["rounds"].as_array().expect("rounds").len();
    assert_eq!(stored.as_array().expect("cases").iter().map(ratios).collect::<Vec<_>>(), [3, 3, 2, 1], "all");
    let near = |value: &Value, want: f64| (value.as_f64().expect("a number") - want).abs() < 1e-9;
    assert!(near(&stored[0]["ratio"], 0.5), "the median of 0.5, 0.5 and 0.2: {stored}");
    assert!(near(&stored[0]["ratio_range"][0], 0.2), "the least of them: {stored}");
    assert!(near(&stored[1]["ratio"], 0.25), "CPU against CPU: {stored}");
    assert_eq!(stored[1]["measure"], "cpu", "the measure is stored");
    let printed = text(&output.stdout);
    for words in ["0.200–0.500 of 3", "2.00 ms CPU", "4.00 ms wall", "too much"] {
        assert_eq!(printed.contains(words), words != "too much", "`{words}`:\n{printed}");
    }

    let some = |text: &str| {
        let mut command = command(root, &["bench", "--case", text]);
        command
            .env("CARGO_TARGET_DIR", root.join("target"))
            .env("TOY_LOG", &log)
            .output()
            .expect("xtask starts")
    };
    let output = some("ersu");
    let printed = text(&output.stdout);
    assert!(printed.contains("versus") && !printed.contains("process"), "one case:\n{printed}");
    let again = fs::read(root.join("results/bench/toy.json")).expect("results");
    assert_eq!(serde_json::from_slice::<Value>(&again).expect("JSON"), stored, "the stored results stay");
    assert_eq!(some("no such").status.code(), Some(2), "no case");
}
