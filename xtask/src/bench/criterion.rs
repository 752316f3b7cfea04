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
        let folder =
            self.id.split('/').map(|part| part.replace(['?', '"', '\\', '*', '<', '>', ':', '|', '^'], "_"));
        let path = target.join("criterion").join(folder.collect::<PathBuf>()).join("new/estimates.json");
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

fn median_secs(estimates: &[u8]) -> Result<f64> {
    let estimates: serde_json::Value = serde_json::from_slice(estimates)?;
    let nanos = estimates["median"]["point_estimate"].as_f64().context("median.point_estimate is missing")?;
    Ok(nanos * 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_read() {
        let secs = median_secs(br#"{"mean":{"point_estimate":1},"median":{"point_estimate":2500000.0}}"#);
        assert!((secs.expect("there") - 2.5e-3).abs() < 1e-12, "nanoseconds become seconds");
        assert!(median_secs(b"{}").is_err(), "a missing median is said");
    }
}
