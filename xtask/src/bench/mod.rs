//! `cargo xtask bench`: our benches and the reference on the same work, in turn, in one call; ratios are stored,
//! printed and judged.
//!
//! `xtask/benches/<crate>.toml` lists cases. Each names what is ours, a benchmark of a criterion target or a command of a
//! binary measured as a whole process; and, where there is one, the script that does the same work in Python and prints
//! `{"event":"bench","name":…,"wall_secs":…,"cpu_secs":…}` (and `peak_memory_bytes`), the greatest ratio allowed, and the
//! greatest figure.

mod criterion;
mod process;
mod reference;
mod words;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use self::criterion::Criterion;
use self::process::{Prepare, WholeProcess};
use self::reference::{Reference, References, interpreter};
use self::words::Words;
use crate::cargo;
use crate::experiment::cache::write_atomic;
use crate::report::markdown;
use crate::report::table::NOTHING;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Cases {
    /// Lists of words that arguments name by `@`.
    #[serde(default)]
    lists: IndexMap<String, Vec<String>>,
    #[serde(default)]
    prepare: Vec<Prepare>,
    #[serde(rename = "case")]
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Case {
    /// What is measured, in words.
    name: String,
    criterion: Option<Criterion>,
    process: Option<WholeProcess>,
    /// What of ours counts; a criterion target has its wall time only.
    #[serde(default)]
    measure: Measure,
    reference: Option<Reference>,
    /// Another of ours to compare with, such as the same on one thread.
    versus: Option<Versus>,
    /// The greatest allowed ratio ours / reference.
    at_most: Option<f64>,
    /// The greatest allowed figure of ours, in seconds or bytes.
    limit: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Versus {
    Criterion(Criterion),
    Process(WholeProcess),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Measure {
    #[default]
    Wall,
    Cpu,
    Memory,
}

#[derive(Debug, Serialize)]
struct Ratio {
    name: String,
    id: String,
    ours: f64,
    reference: Option<f64>,
    measure: Measure,
    reference_measure: Measure,
    ratio: Option<f64>,
    at_most: Option<f64>,
    limit: Option<f64>,
}

impl Ratio {
    fn within_limit(&self) -> bool {
        self.ratio.zip(self.at_most).is_none_or(|(ratio, most)| ratio <= most)
            && self.limit.is_none_or(|limit| self.ours <= limit)
    }
}

/// Reads and checks `xtask/benches/<crate>.toml`.
pub(crate) fn read(path: &Path) -> Result<Cases> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let cases: Cases =
        toml::from_str(&text).with_context(|| format!("{} is not a list of benches", path.display()))?;
    for case in &cases.cases {
        let place = || format!("{}: case `{}`", path.display(), case.name);
        ensure!(
            case.criterion.is_some() != case.process.is_some(),
            "{} needs either a criterion target or a process",
            place()
        );
        ensure!(
            case.criterion.is_none() || case.measure == Measure::Wall,
            "{}: of a criterion target only the wall time is known",
            place()
        );
        ensure!(
            !matches!(case.versus, Some(Versus::Criterion(_))) || case.measure == Measure::Wall,
            "{}: of a criterion target only the wall time is known",
            place()
        );
        ensure!(
            case.reference.is_none() || case.versus.is_none(),
            "{} is compared with either a reference or another of ours",
            place()
        );
        ensure!(
            case.at_most.is_none() || case.reference.is_some() || case.versus.is_some(),
            "{} has a greatest ratio and no reference",
            place()
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

/// Runs the benches; whether all are within their limits.
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
        let cases = read(&path)?;
        let words = Words::new(root.join("results/bench/work").join(&package), &cases.lists);
        for prepare in &cases.prepare {
            prepare.run(root, &package, &words).with_context(|| path.display().to_string())?;
        }
        let mut references = References::new(root, python.as_deref());
        let mut ratios = Vec::new();
        for case in &cases.cases {
            let ratio = measure(case, root, &target, &package, &words, &mut references);
            ratios.push(ratio.with_context(|| format!("case `{}`", case.name))?);
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

fn measure(
    case: &Case,
    root: &Path,
    target: &Path,
    package: &str,
    words: &Words,
    references: &mut References<'_>,
) -> Result<Ratio> {
    let (ours, id) = match (&case.criterion, &case.process) {
        (Some(criterion), _) => (criterion.median_secs(root, target, package)?, criterion.id().to_owned()),
        (None, Some(process)) => (process.figure(root, package, case.measure, words)?, process.id()),
        (None, None) => anyhow::bail!("there is nothing to measure"),
    };
    let reference = match (&case.reference, &case.versus) {
        (Some(reference), _) => references.figure(reference, case.measure, words)?,
        (None, Some(Versus::Criterion(other))) => Some(other.median_secs(root, target, package)?),
        (None, Some(Versus::Process(other))) => Some(other.figure(root, package, case.measure, words)?),
        (None, None) => None,
    };
    Ok(Ratio {
        name: case.name.clone(),
        id,
        ours,
        reference,
        measure: case.measure,
        reference_measure: case.reference.as_ref().and_then(|r| r.measure).unwrap_or(case.measure),
        ratio: reference.map(|reference| ours / reference),
        at_most: case.at_most,
        limit: case.limit,
    })
}

fn table(ratios: &[Ratio]) -> String {
    let mut rows =
        vec![["bench", "ours", "at most", "reference", "ratio", "at most", ""].map(str::to_owned).to_vec()];
    for ratio in ratios {
        let number = |value: Option<f64>| value.map_or(NOTHING.to_owned(), |x| format!("{x:.3}"));
        let figure = |value: Option<f64>, measure| value.map_or(NOTHING.to_owned(), |x| written(x, measure));
        let verdict = match (ratio.ratio.or(ratio.limit), ratio.within_limit()) {
            (None, _) => "",
            (_, true) => "ok",
            (_, false) => "too much",
        };
        rows.push(vec![
            ratio.name.clone(),
            written(ratio.ours, ratio.measure),
            figure(ratio.limit, ratio.measure),
            figure(ratio.reference, ratio.reference_measure),
            number(ratio.ratio),
            number(ratio.at_most),
            verdict.to_owned(),
        ]);
    }
    markdown::aligned(&rows)
}

fn written(value: f64, measure: Measure) -> String {
    match measure {
        Measure::Memory => format!("{:.0} MB", value / 1e6),
        Measure::Cpu => duration(value) + " CPU",
        Measure::Wall => duration(value),
    }
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
    fn limits_are_judged() {
        let ratio = |ratio: Option<f64>, at_most, limit| Ratio {
            name: "n".into(),
            id: "i".into(),
            ours: 0.02,
            reference: ratio.map(|r| 0.02 / r),
            measure: Measure::Wall,
            reference_measure: Measure::Cpu,
            ratio,
            at_most,
            limit,
        };
        assert!(ratio(Some(0.4), Some(0.5), None).within_limit(), "below the ratio");
        assert!(!ratio(Some(0.6), Some(0.5), None).within_limit(), "above it");
        assert!(
            ratio(None, Some(0.5), Some(0.03)).within_limit(),
            "without a reference the figure is judged"
        );
        assert!(!ratio(None, None, Some(0.01)).within_limit(), "and can be too great");
        let table = table(&[ratio(Some(0.6), Some(0.5), None)]);
        for words in ["20.00 ms", "33.33 ms CPU", "too much"] {
            assert!(table.contains(words), "times and verdict are shown: no {words}\n{table}");
        }
    }

    #[test]
    fn a_case_names_one_thing_to_measure() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("b.toml");
        let read_text = |case: &str| {
            fs::write(&path, format!("[[case]]\nname = \"x\"\n{case}")).expect("written");
            read(&path)
        };
        let criterion = "criterion = { bench = \"b\", id = \"i\" }";
        let process = "process = { binary = \"b\", args = [] }";
        assert!(read_text(criterion).is_ok() && read_text(process).is_ok(), "either");
        assert!(read_text(&format!("{criterion}\nversus.{criterion}\nat-most = 1.0")).is_ok(), "to another");
        assert!(read_text("").is_err(), "nothing");
        assert!(read_text(&format!("{criterion}\n{process}")).is_err(), "both");
        assert!(
            read_text(&format!("{criterion}\nmeasure = \"memory\"")).is_err(),
            "not the memory of a target"
        );
        assert!(read_text(&format!("{process}\nat-most = 1.0")).is_err(), "a ratio to nothing");
    }
}
