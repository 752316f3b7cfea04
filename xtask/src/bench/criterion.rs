//! One benchmark of a criterion bench target, run now and read from its estimates.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::case::Measure;
use super::words::Words;
use crate::cargo::{Executable, Kind};

/// One benchmark of a bench target.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Criterion {
    /// The bench target of the crate.
    bench: String,
    /// The benchmark's id within it: `group/function`.
    id: String,
    #[serde(default)]
    features: Vec<String>,
}

impl Criterion {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// What the id says it measures.
    pub(super) fn measure(&self) -> Measure {
        let group = self.id.split('/').next().unwrap_or_default();
        if group.ends_with("_cpu") { Measure::Cpu } else { Measure::Wall }
    }

    pub(super) fn executable(&self, package: &str) -> Executable {
        Executable { package: package.to_owned(), kind: Kind::Bench, name: self.bench.clone() }
    }

    pub(super) fn features(&self) -> &[String] {
        &self.features
    }

    /// The median seconds of this benchmark alone, measured now by the target's executable, into a folder that was empty.
    pub(super) fn median_secs(&self, executable: &Path, words: &Words) -> Result<f64> {
        let home = words.work().join("criterion");
        match fs::remove_dir_all(&home) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", home.display()));
            }
            _ => fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?,
        }
        let mut command = Command::new(executable);
        // `--bench` is what Cargo passes; without it criterion tests. With `--exact` the id is no pattern.
        command.args(["--bench", "--noplot", "--exact", &self.id]).env("CRITERION_HOME", &home);
        let status = command
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .status()
            .with_context(|| format!("cannot run {}", executable.display()))?;
        ensure!(status.success(), "bench target `{}` failed ({status})", self.bench);
        let path = folder_of(&home, &self.id)
            .with_context(|| format!("bench target `{}` has not measured `{}`", self.bench, self.id))?
            .join("estimates.json");
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        median_secs(&text).with_context(|| format!("{} has no median", path.display()))
    }
}

/// The folder of a benchmark's estimates. Its name is criterion's own, a shortened form of the id; `benchmark.json` in it has the whole.
fn folder_of(root: &Path, id: &str) -> Result<PathBuf> {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let is_of_id = || {
            fs::read(folder.join("benchmark.json")).is_ok_and(|text| full_id(&text).as_deref() == Some(id))
        };
        if folder.ends_with("new") && is_of_id() {
            return Ok(folder);
        }
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        folders.extend(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()));
    }
    anyhow::bail!("nothing below {} has this id", root.display())
}

fn full_id(benchmark: &[u8]) -> Option<String> {
    let benchmark: serde_json::Value = serde_json::from_slice(benchmark).ok()?;
    Some(benchmark["full_id"].as_str()?.to_owned())
}

fn median_secs(estimates: &[u8]) -> Result<f64> {
    let estimates: serde_json::Value = serde_json::from_slice(estimates)?;
    let nanos = estimates["median"]["point_estimate"].as_f64().context("median.point_estimate is missing")?;
    ensure!(nanos > 0.0, "a median of {nanos} ns");
    Ok(nanos * 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::assert_refused;

    #[test]
    fn a_benchmark_is_found_by_its_whole_id() {
        let root = tempfile::tempdir().expect("a folder");
        for (folder, id) in [("a_b/c/new", "a/b/c"), ("a_b/c/base", "a/b/c"), ("a_b/d/new", "a/b/d")] {
            let folder = root.path().join(folder);
            fs::create_dir_all(&folder).expect("made");
            fs::write(folder.join("benchmark.json"), format!("{{\"full_id\":\"{id}\"}}")).expect("written");
        }
        let found = folder_of(root.path(), "a/b/c").expect("there");
        assert_eq!(found, root.path().join("a_b/c/new"), "the newest, not the one before");
        assert_refused(folder_of(root.path(), "a/b"), "has this id");
    }

    #[test]
    fn medians_are_read() {
        let secs = median_secs(br#"{"mean":{"point_estimate":1},"median":{"point_estimate":2500000.0}}"#);
        assert!((secs.expect("there") - 2.5e-3).abs() < 1e-12, "nanoseconds become seconds");
        assert_refused(median_secs(b"{}"), "median.point_estimate is missing");
        assert_refused(median_secs(br#"{"median":{"point_estimate":0.0}}"#), "a median of 0 ns");
    }
}
