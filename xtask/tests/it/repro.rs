//! Runs, resumes and verdicts with real processes: small shell scripts stand where binaries would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A workspace with one crate's experiments, by name.
pub(crate) fn workspace(experiments: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("xtask/experiments/toy");
    fs::create_dir_all(&folder).expect("made");
    for (name, text) in experiments {
        fs::write(folder.join(format!("{name}.toml")), text).expect("written");
    }
    root
}

pub(crate) fn command(root: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .arg("--root")
        .arg(root)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn run(root: &Path, args: &[&str]) -> Output {
    command(root, args).output().expect("xtask starts")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// A base that counts to 30 with a checkpoint at each step, as training does, and a score that reads it.
const BED: &str = r#"
title = "A counter"
claim = "It counts."
source = "here"
scales = { smoke = { seeds = [0, 1] }, mini = { seeds = [2] } }

[[stage]]
name = "count"
command = ["/bin/sh", "-c", '''
mkdir -p "$1.partial"
i=$(cat "$1.partial/step" 2>/dev/null || echo 0)
echo "start $i" >> "$1.partial/starts"
while [ "$i" -lt 30 ]; do
  sleep 0.04
  i=$((i + 1))
  echo "{\"event\":\"metric\",\"name\":\"loss\",\"value\":$((100 - i)),\"step\":$i}"
  echo "{\"event\":\"progress\",\"done\":$i,\"total\":30,\"unit\":\"step\"}"
  echo "$i" > "$1.partial/next" && mv "$1.partial/next" "$1.partial/step"
done
mv "$1.partial" "$1"
''', "count"]
args = ["{out}", "{seed}"]

[[stage]]
name = "score"
needs = ["count"]
matrix = { task = ["x", "y"] }
command = ["/bin/sh", "-c", '''
n=$(cat "$1/step")
test "$2" = x || n=$((n + 10))
echo "{\"event\":\"metric\",\"name\":\"score\",\"value\":$((n + $3)),\"task\":\"$2\"}"
''', "score"]
args = ["{stage.count}", "{task}", "{seed}"]

[[expect]]
name = "counts"
claim = "It counts to thirty"
source = "here"
value = { metric = "score", where = { task = "x" } }
target = 30
within = 2

[[table]]
name = "scores"
title = "Scores"
rows = "task"
[[table.column]]
title = "score"
value = { metric = "score" }

[[plot]]
name = "curve"
title = "Loss"
kind = "lines"
x = "step"
y-title = "loss"
[[plot.series]]
title = "loss"
value = { metric = "loss" }
"#;

const USER: &str = r#"
title = "A user of the counter"
claim = "It shares."
source = "here"
scales = { smoke = { seeds = [0, 1] } }
[[stage]]
name = "again"
needs = ["toy/bed"]
command = ["/bin/sh", "-c", '''test -f "$1/step" && echo '{"event":"metric","name":"there","value":1}' ''', "again"]
args = ["{toy/bed.count}"]
"#;

const RESULTS: [&str; 4] = ["table.md", "metrics.jsonl", "report.json", "curve.svg"];

fn results(root: &Path) -> Vec<String> {
    let read = |name: &&str| {
        fs::read_to_string(root.join("results/toy/bed/smoke").join(name))
            .unwrap_or_else(|e| panic!("{name}: {e}"))
    };
    RESULTS.iter().map(read).collect()
}

fn outputs(root: &Path) -> Vec<PathBuf> {
    let slots = fs::read_dir(root.join("results/cache")).expect("a cache");
    let outs = slots.map(|slot| slot.expect("a slot").path());
    outs.filter(|slot| slot.join("out").exists() || slot.join("out.partial").exists()).collect()
}

#[test]
fn a_run_reports_and_the_next_one_takes_all_from_the_cache() {
    let root = workspace(&[("bed", BED), ("user", USER)]);
    let first = run(root.path(), &["repro", "toy/bed"]);
    assert_eq!(code(&first), Some(0), "it runs: {}", text(&first.stderr));
    let table = &results(root.path())[0];
    assert!(
        table.contains("| x    | 30.5 ± 0.7 |"),
        "mean and deviation over seeds are in the table:\n{table}"
    );
    assert!(table.contains("reproduced (smoke)"), "the verdict is marked as smoke:\n{table}");
    let before = results(root.path());

    let started = Instant::now();
    let second = run(root.path(), &["repro"]);
    assert_eq!(code(&second), Some(0), "it runs: {}", text(&second.stderr));
    assert!(
        text(&second.stderr).contains("6 of 8 stages are in the cache"),
        "shared: {}",
        text(&second.stderr)
    );
    assert!(started.elapsed() < Duration::from_secs(2), "nothing is counted again: {:?}", started.elapsed());
    assert_eq!(results(root.path()), before, "the same results, byte for byte");

    let run_file = fs::read(root.path().join("results/toy/bed/smoke/run.json")).expect("run.json");
    let run_file: serde_json::Value = serde_json::from_slice(&run_file).expect("JSON");
    assert!(
        run_file["cost"]["wall_secs"].as_f64() > Some(1.0),
        "the cost of making it: {}",
        run_file["cost"]
    );
    assert!(
        run_file["cost"]["peak_memory_bytes"].as_u64() > Some(100_000),
        "and its memory: {}",
        run_file["cost"]
    );
    assert_eq!(run_file["stages"][0]["cached"], true, "what was not run is said");
    let index = fs::read_to_string(root.path().join("results/index.html")).expect("the page");
    for want in ["toy/bed/smoke/curve.svg", "30.5 ± 0.7", "A user of the counter"] {
        assert!(index.contains(want), "`{want}` is on the page of all results");
    }
}

#[cfg(unix)]
#[test]
fn a_killed_run_goes_on_and_ends_the_same() {
    let whole = workspace(&[("bed", BED)]);
    assert_eq!(code(&run(whole.path(), &["repro"])), Some(0), "an undisturbed run");

    let killed = workspace(&[("bed", BED)]);
    for after in [400, 700] {
        let mut child = command(killed.path(), &["repro"]).spawn().expect("xtask starts");
        std::thread::sleep(Duration::from_millis(after));
        child.kill().expect("kill -9");
        child.wait().expect("it is gone");
    }
    std::thread::sleep(Duration::from_millis(100));
    let step = |slot: &PathBuf| fs::read_to_string(slot.join("out.partial/step")).unwrap_or_default();
    let steps: Vec<String> = outputs(killed.path()).iter().map(step).collect();
    std::thread::sleep(Duration::from_millis(200));
    if cfg!(target_os = "linux") {
        let later: Vec<String> = outputs(killed.path()).iter().map(step).collect();
        assert_eq!(steps, later, "no process outlives the one that started it");
    }
    assert!(steps.iter().any(|step| !step.is_empty()), "it was killed in the midst of counting: {steps:?}");

    let last = run(killed.path(), &["repro"]);
    assert_eq!(code(&last), Some(0), "it goes on: {}", text(&last.stderr));
    assert_eq!(
        results(killed.path()),
        results(whole.path()),
        "the same results as without a kill, byte for byte"
    );
    let starts = |slot: &PathBuf| fs::read_to_string(slot.join("out/starts")).unwrap_or_default();
    let resumed =
        outputs(killed.path()).iter().any(|slot| starts(slot).lines().any(|line| line != "start 0"));
    assert!(resumed, "the count went on from its checkpoint rather than from 0");
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_nothing_running_and_says_how_to_go_on() {
    let root = workspace(&[("bed", BED)]);
    let child = command(root.path(), &["repro"]).spawn().expect("xtask starts");
    std::thread::sleep(Duration::from_millis(500));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill").success(), "SIGINT is sent");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), Some(2), "what was interrupted did not run");
    assert!(
        text(&output.stderr).contains("goes on from here"),
        "it says how to go on: {}",
        text(&output.stderr)
    );
    assert!(!root.path().join("results/toy/bed").exists(), "no half report");
    assert_eq!(code(&run(root.path(), &["repro"])), Some(0), "and it goes on");
}

#[test]
fn an_output_whose_record_is_missing_is_adopted() {
    let root = workspace(&[("bed", BED)]);
    assert_eq!(code(&run(root.path(), &["repro", "--scale", "mini"])), Some(0), "it runs");
    let table = root.path().join("results/toy/bed/mini/table.md");
    let before = fs::read_to_string(&table).expect("a table");
    for slot in outputs(root.path()) {
        fs::remove_file(slot.join("stage.json")).expect("the record was there");
    }
    let started = Instant::now();
    assert_eq!(code(&run(root.path(), &["repro", "--scale", "mini"])), Some(0), "it runs");
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "the output is not made again: {:?}",
        started.elapsed()
    );
    assert_eq!(fs::read_to_string(&table).expect("a table"), before, "its metrics are kept");
}

#[test]
fn two_runs_at_once_share_the_work() {
    let root = workspace(&[("bed", BED)]);
    let runs = [0, 1].map(|_| command(root.path(), &["repro"]).spawn().expect("xtask starts"));
    for child in runs {
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(code(&output), Some(0), "it runs: {}", text(&output.stderr));
    }
    for slot in outputs(root.path()) {
        let starts = fs::read_to_string(slot.join("out/starts")).expect("its starts");
        assert_eq!(starts, "start 0\n", "each count was made once");
    }
}

#[test]
fn exit_codes_tell_findings_from_failures() {
    let with = |from: &str, to: &str| {
        run(workspace(&[("bed", &BED.replace(from, to))]).path(), &["repro", "--scale", "mini"])
    };
    let off = with("target = 30", "target = 50");
    assert_eq!(code(&off), Some(1), "out of tolerance: {}", text(&off.stderr));
    assert!(text(&off.stdout).contains("not reproduced, unexpectedly"), "it is said: {}", text(&off.stdout));
    let finding = with("target = 30", "target = 50\nexpected = \"not-reproduced\"");
    assert_eq!(code(&finding), Some(0), "an expected finding: {}", text(&finding.stderr));
    assert!(text(&finding.stdout).contains("not reproduced"), "is still said: {}", text(&finding.stdout));

    for (from, to, want) in [
        ("n=$(cat \"$1/step\")", "echo 'no such step' >&2; exit 3", "no such step"),
        ("n=$(cat \"$1/step\")", "exit 3", "run it by hand"),
        ("mv \"$1.partial\" \"$1\"", "true", "without writing"),
        ("\\\"value\\\":$((n + $3))", "\\\"value\\\":null", "finite number"),
        ("rows = \"task\"", "rows = \"stage\"", "differs in `task`"),
        ("value = { metric = \"score\" }", "value = { metric = \"loss\" }", "no row"),
        (
            "metric = \"score\", where = { task = \"x\" }",
            "metric = \"scre\", where = { task = \"x\" }",
            "0 of 1 seeds",
        ),
        ("\"/bin/sh\", \"-c\", '''\nmkdir", "\"/nowhere/sh\", \"-c\", '''\nmkdir", "cannot start"),
        ("needs = [\"count\"]", "needs = [\"cuont\"]", "cuont"),
    ] {
        let output = with(from, to);
        assert_eq!(code(&output), Some(2), "`{to}` does not run: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(want), "`{to}` says `{want}`: {}", text(&output.stderr));
    }
}

#[test]
fn usage_errors_name_what_is_known() {
    let root = workspace(&[("bed", BED)]);
    for (args, want) in [
        (&["repro", "toy/bde"][..], "toy/bed"),
        (&["repro", "--scale", "paper"], "smoke, mini"),
        (&["repro", "--scale", "huge"], "possible values"),
        (&["repro", "--jobs", "0"], "at least 1"),
        (&["report"], "nothing has run"),
        (&["bench"], "xtask/benches"),
    ] {
        let output = run(root.path(), args);
        assert_eq!(code(&output), Some(2), "{args:?} is refused");
        assert!(text(&output.stderr).contains(want), "{args:?} says `{want}`: {}", text(&output.stderr));
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let root = workspace(&[("bed", BED)]);
    let mut child = command(root.path(), &["list"]).spawn().expect("xtask starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0), "nobody reads, nobody minds");
}
