//! `cargo xtask bench`: our benches and the reference on the same work, in turn, in one call; ratios are stored,
//! printed and judged.
//!
//! `xtask/benches/<crate>.toml` lists cases: a criterion target and benchmark id, the script that does the same work
//! in Python and prints `{"event":"bench","name":…,"wall_secs":…,"cpu_secs":…}`, and the greatest ratio allowed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::cargo;
use crate::experiment::cache::write_atomic;
use crate::report::markdown;
use crate::report::table::NOTHING;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Cases {
    #[serde(rename = "case")]
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Case {
    /// What is timed, in words.
    name: String,
    /// The bench target of the crate.
    bench: String,
    /// The benchmark's id within it: `group/function`.
    id: String,
    #[serde(default)]
    features: Vec<String>,
    reference: Option<Reference>,
    /// The greatest allowed ratio ours / reference.
    at_most: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Reference {
    /// The script, from the workspace's root.
    script: PathBuf,
    /// The `name` of its event.
    name: String,
    /// Which of its times ours is compared with.
    #[serde(default)]
    measure: Measure,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Measure {
    #[default]
    Wall,
    Cpu,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Timed {
    event: String,
    name: String,
    wall_secs: f64,
    cpu_secs: f64,
}

#[derive(Debug, Serialize)]
struct Ratio {
    name: String,
    id: String,
    ours_secs: f64,
    reference_secs: Option<f64>,
    measure: Measure,
    ratio: Option<f64>,
    at_most: Option<f64>,
}

impl Ratio {
    fn within_limit(&self) -> bool {
        self.ratio.zip(self.at_most).is_none_or(|(ratio, most)| ratio <= most)
    }
}

/// Reads and checks `xtask/benches/<crate>.toml`.
pub(crate) fn read(path: &Path) -> Result<Cases> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let cases: Cases =
        toml::from_str(&text).with_context(|| format!("{} is not a list of benches", path.display()))?;
    for case in &cases.cases {
        ensure!(
            case.at_most.is_none() || case.reference.is_some(),
            "{}: case `{}` has a limit and no reference",
            path.display(),
            case.name
        );
    }
    Ok(cases)
}

/// The crates that have benches, with their files.
pub(crate) fn files(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let folder = root.join("xtask/benches");
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let package = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            files.push((package, path));
        }
    }
    files.sort();
    Ok(files)
}

/// Runs the benches; whether all ratios are within their limits.
pub(crate) fn bench(root: &Path, package: Option<&str>, venv: Option<&Path>) -> Result<bool> {
    let mut files = files(root)?;
    if let Some(wanted) = package {
        files.retain(|(package, _)| package == wanted);
        ensure!(!files.is_empty(), "there is no xtask/benches/{wanted}.toml");
    }
    let python = venv.map(interpreter).transpose()?;
    let target = cargo::metadata(root)?.target_directory;
    let mut all_within = true;
    for (package, path) in files {
        let mut ratios = Vec::new();
        let mut references = References { root, python: python.as_deref(), timed: BTreeMap::new() };
        for case in &read(&path)?.cases {
            let ours_secs =
                ours(root, &target, &package, case).with_context(|| format!("case `{}`", case.name))?;
            let measure = case.reference.as_ref().map_or(Measure::Wall, |reference| reference.measure);
            let reference_secs = match &case.reference {
                Some(reference) => {
                    references.time(reference).with_context(|| format!("case `{}`", case.name))?
                }
                None => None,
            };
            let ratio = reference_secs.map(|reference| ours_secs / reference);
            let (name, id, at_most) = (case.name.clone(), case.id.clone(), case.at_most);
            ratios.push(Ratio { name, id, ours_secs, reference_secs, measure, ratio, at_most });
        }
        write_atomic(
            &root.join(format!("results/bench/{package}.json")),
            &serde_json::to_vec_pretty(&ratios)?,
        )?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{package}\n{}", table(&ratios))?;
        all_within &= ratios.iter().all(Ratio::within_limit);
    }
    Ok(all_within)
}

fn interpreter(venv: &Path) -> Result<PathBuf> {
    let python = venv.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    ensure!(
        python.is_file(),
        "{} is no Python environment: there is no {}",
        venv.display(),
        python.display()
    );
    // Not canonical: an environment is found by the path of its link.
    std::path::absolute(&python).context("there is no current folder")
}

/// The median seconds of one case, measured now.
fn ours(root: &Path, target: &Path, package: &str, case: &Case) -> Result<f64> {
    let mut command = Command::new(cargo::cargo());
    command.args(["bench", "--package", package, "--bench", &case.bench]);
    if !case.features.is_empty() {
        command.arg("--features").arg(case.features.join(","));
    }
    command.args(["--", "--noplot", "--exact", &case.id]).current_dir(root);
    let started = SystemTime::now();
    let status =
        command.stdout(Stdio::null()).stderr(Stdio::inherit()).status().context("cannot run cargo bench")?;
    ensure!(status.success(), "cargo bench failed ({status})");
    let folder =
        case.id.split('/').map(|part| part.replace(['?', '"', '\\', '*', '<', '>', ':', '|', '^'], "_"));
    let path = target.join("criterion").join(folder.collect::<PathBuf>()).join("new/estimates.json");
    let fresh =
        fs::metadata(&path).and_then(|metadata| metadata.modified()).is_ok_and(|time| time >= started);
    ensure!(
        fresh,
        "bench target `{}` has not measured `{}`: no fresh {}",
        case.bench,
        case.id,
        path.display()
    );
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    median_secs(&text).with_context(|| format!("{} has no median", path.display()))
}

fn median_secs(estimates: &[u8]) -> Result<f64> {
    let estimates: serde_json::Value = serde_json::from_slice(estimates)?;
    let nanos = estimates["median"]["point_estimate"].as_f64().context("median.point_estimate is missing")?;
    Ok(nanos * 1e-9)
}

/// The reference scripts, each run once a call.
struct References<'a> {
    root: &'a Path,
    python: Option<&'a Path>,
    timed: BTreeMap<PathBuf, Vec<Timed>>,
}

impl References<'_> {
    fn time(&mut self, reference: &Reference) -> Result<Option<f64>> {
        let Some(python) = self.python else { return Ok(None) };
        if !self.timed.contains_key(&reference.script) {
            let mut command = Command::new(python);
            command.arg(self.root.join(&reference.script)).envs(&reference.env).current_dir(self.root);
            let output = command.stderr(Stdio::inherit()).output();
            let output = output.with_context(|| format!("cannot run {}", python.display()))?;
            ensure!(output.status.success(), "{} failed ({})", reference.script.display(), output.status);
            let timed = timed(&String::from_utf8_lossy(&output.stdout));
            self.timed.insert(reference.script.clone(), timed);
        }
        let timed = self.timed[&reference.script].iter().find(|timed| timed.name == reference.name);
        let Some(timed) = timed else {
            bail!("{} printed no bench event named `{}`", reference.script.display(), reference.name)
        };
        let secs = match reference.measure {
            Measure::Wall => timed.wall_secs,
            Measure::Cpu => timed.cpu_secs,
        };
        ensure!(secs > 0.0, "{}: `{}` took {secs} s", reference.script.display(), reference.name);
        Ok(Some(secs))
    }
}

fn timed(printed: &str) -> Vec<Timed> {
    let events = printed.lines().filter_map(|line| serde_json::from_str::<Timed>(line).ok());
    events.filter(|timed| timed.event == "bench").collect()
}

fn table(ratios: &[Ratio]) -> String {
    let mut rows = vec![["bench", "ours", "reference", "ratio", "at most", ""].map(str::to_owned).to_vec()];
    for ratio in ratios {
        let number = |value: Option<f64>| value.map_or(NOTHING.to_owned(), |x| format!("{x:.3}"));
        let reference = ratio.reference_secs.map_or(NOTHING.to_owned(), |secs| {
            let kind = if ratio.measure == Measure::Cpu { " CPU" } else { "" };
            duration(secs) + kind
        });
        let verdict = match (ratio.ratio, ratio.within_limit()) {
            (None, _) => "",
            (_, true) => "ok",
            (_, false) => "too slow",
        };
        rows.push(vec![
            ratio.name.clone(),
            duration(ratio.ours_secs),
            reference,
            number(ratio.ratio),
            number(ratio.at_most),
            verdict.to_owned(),
        ]);
    }
    markdown::aligned(&rows)
}

fn duration(secs: f64) -> String {
    match secs {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 1e-3 => format!("{:.2} ms", s * 1e3),
        s => format!("{:.2} µs", s * 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_events_are_read() {
        let secs = median_secs(br#"{"mean":{"point_estimate":1},"median":{"point_estimate":2500000.0}}"#);
        assert!((secs.expect("there") - 2.5e-3).abs() < 1e-12, "nanoseconds become seconds");
        assert!(median_secs(b"{}").is_err(), "a missing median is said");
        let printed = "warming up\n{\"event\":\"bench\",\"name\":\"a\",\"wall_secs\":2.0,\"cpu_secs\":3.5}\n{\"event\":\"x\"}\n";
        let timed = timed(printed);
        assert_eq!((timed.len(), timed[0].cpu_secs), (1, 3.5), "one event among other lines");
    }

    #[test]
    fn limits_are_judged() {
        let ratio = |ratio: Option<f64>, at_most| Ratio {
            name: "n".into(),
            id: "i".into(),
            ours_secs: 0.02,
            reference_secs: ratio.map(|r| 0.02 / r),
            measure: Measure::Wall,
            ratio,
            at_most,
        };
        assert!(ratio(Some(0.4), Some(0.5)).within_limit(), "below the limit");
        assert!(!ratio(Some(0.6), Some(0.5)).within_limit(), "above it");
        assert!(ratio(None, Some(0.5)).within_limit(), "without a reference nothing is judged");
        let table = table(&[ratio(Some(0.6), Some(0.5))]);
        assert!(
            table.contains("20.00 ms") && table.contains("too slow"),
            "times and verdict are shown:\n{table}"
        );
    }
}
