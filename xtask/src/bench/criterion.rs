//! A bench target of criterion, run now and read from its estimates.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::cargo;

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

    /// The median seconds of one case, measured now.
    pub(super) fn median_secs(&self, root: &Path, target: &Path, package: &str) -> Result<f64> {
        let mut command = Command::new(cargo::cargo());
        command.args(["bench", "--package", package, "--bench", &self.bench]);
        if !self.features.is_empty() {
            command.arg("--features").arg(self.features.join(","));
        }
        command.args(["--", "--noplot", "--exact", &self.id]).current_dir(root);
        let started = SystemTime::now();
        let status = command
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .status()
            .context("cannot run cargo bench")?;
        ensure!(status.success(), "cargo bench failed ({status})");
        let path = folder_of(&target.join("criterion"), &self.id)
            .with_context(|| format!("bench target `{}` has not measured `{}`", self.bench, self.id))?
            .join("estimates.json");
        let fresh =
            fs::metadata(&path).and_then(|metadata| metadata.modified()).is_ok_and(|time| time >= started);
        ensure!(
            fresh,
            "bench target `{}` has not measured `{}`: no fresh {}",
            self.bench,
            self.id,
            path.display()
        );
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        median_secs(&text).with_context(|| format!("{} has no median", path.display()))
    }
}

/// The folder of the newest estimates of a benchmark. Its name is criterion's own, a shortened form of the id; `benchmark.json` in it
/// has the whole.
fn folder_of(root: &Path, id: &str) -> Result<PathBuf> {
    let mut folders = vec![root.to_owned()];
    let mut found = vec![];
    while let Some(folder) = folders.pop() {
        if fs::read(folder.join("benchmark.json")).is_ok_and(|text| full_id(&text).as_deref() == Some(id))
            && folder.ends_with("new")
        {
            found.push(folder);
            continue;
        }
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        folders.extend(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()));
    }
    let time =
        |folder: &PathBuf| fs::metadata(folder.join("estimates.json")).and_then(|file| file.modified()).ok();
    found
        .into_iter()
        .max_by_key(time)
        .with_context(|| format!("nothing below {} has this id", root.display()))
}

fn full_id(benchmark: &[u8]) -> Option<String> {
    let benchmark: serde_json::Value = serde_json::from_slice(benchmark).ok()?;
    Some(benchmark["full_id"].as_str()?.to_owned())
}

fn median_secs(estimates: &[u8]) -> Result<f64> {
    let estimates: serde_json::Value = serde_json::from_slice(estimates)?;
    let nanos = estimates["median"]["point_estimate"].as_f64().context("median.point_estimate is missing")?;
    Ok(nanos * 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(folder_of(root.path(), "a/b").is_err(), "part of an id is none");
    }

    #[test]
    fn medians_are_read() {
        let secs = median_secs(br#"{"mean":{"point_estimate":1},"median":{"point_estimate":2500000.0}}"#);
        assert!((secs.expect("there") - 2.5e-3).abs() < 1e-12, "nanoseconds become seconds");
        assert!(median_secs(b"{}").is_err(), "a missing median is said");
    }
}
