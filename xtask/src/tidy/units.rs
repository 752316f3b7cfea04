//! Testing one crate alone compiles nothing that testing the whole workspace has not compiled.
//!
//! Cargo's unit graph says what it would compile, and with which features. Two units are one where package, target, mode,
//! features and, in turn, the units they stand on are equal.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::cargo::{Metadata, cargo};

#[derive(Deserialize)]
struct Graph {
    units: Vec<Unit>,
}

#[derive(Deserialize)]
struct Unit {
    pkg_id: String,
    target: Target,
    mode: String,
    features: BTreeSet<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Dependency {
    index: usize,
}

/// The packages that `cargo test --package` would compile anew, for each package of the workspace.
pub(crate) fn check(root: &Path, metadata: &Metadata) -> Result<Vec<String>> {
    let whole = Graph::of(root, &["--workspace"])?;
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let alone = Graph::of(root, &["--package", &package.name])?;
        let anew = alone.beyond(&whole);
        wrong.extend(anew.iter().map(|what| {
            let name = &package.name;
            format!("{name}/Cargo.toml: `cargo test -p {name}` compiles {what}, which the workspace's tests do not")
        }));
    }
    Ok(wrong)
}

impl Graph {
    /// What `cargo test` with these arguments would compile.
    fn of(root: &Path, arguments: &[&str]) -> Result<Graph> {
        let mut command = Command::new(cargo());
        command.args(["test", "--unit-graph", "-Z", "unstable-options"]).args(arguments);
        // The graph is unstable; the toolchain is pinned.
        command.env("RUSTC_BOOTSTRAP", "1").current_dir(root).stderr(Stdio::inherit());
        let output = command.output().context("cannot run cargo test --unit-graph")?;
        ensure!(output.status.success(), "cargo test --unit-graph failed in {}", root.display());
        serde_json::from_slice(&output.stdout).context("cargo's unit graph cannot be read")
    }

    /// The units that `whole` has not, as `package (features)`: those whose own features differ, or, where there is none of
    /// them, all.
    fn beyond(&self, whole: &Graph) -> BTreeSet<String> {
        let own = |unit: &Unit| {
            hash(&(&unit.pkg_id, &unit.target.name, &unit.target.kind, &unit.mode, &unit.features))
        };
        let known: HashSet<u64> = whole.units.iter().map(own).collect();
        let mut anew: Vec<&Unit> = self.units.iter().filter(|unit| !known.contains(&own(unit))).collect();
        if anew.is_empty() {
            let deep: HashSet<u64> = whole.deep(own).into_iter().collect();
            let differ = self.units.iter().zip(self.deep(own)).filter(|(_, hash)| !deep.contains(hash));
            anew = differ.map(|(unit, _)| unit).collect();
        }
        let say = |unit: &&Unit| {
            let name = unit.pkg_id.rsplit('/').next().unwrap_or(&unit.pkg_id);
            let features: Vec<&str> = unit.features.iter().map(String::as_str).collect();
            format!("`{name}` with the features [{}]", features.join(", "))
        };
        anew.iter().map(say).collect()
    }

    /// A hash of each unit and of all that it stands on.
    fn deep(&self, own: impl Fn(&Unit) -> u64) -> Vec<u64> {
        let mut hashes = vec![None; self.units.len()];
        (0..self.units.len()).map(|index| self.deep_of(index, &own, &mut hashes)).collect()
    }

    fn deep_of(&self, index: usize, own: &impl Fn(&Unit) -> u64, hashes: &mut [Option<u64>]) -> u64 {
        if let Some(hash) = hashes[index] {
            return hash;
        }
        let unit = &self.units[index];
        let below: BTreeSet<u64> =
            unit.dependencies.iter().map(|dependency| self.deep_of(dependency.index, own, hashes)).collect();
        let hash = hash(&(own(unit), below));
        hashes[index] = Some(hash);
        hash
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chain of units, each on the next, by their packages and features.
    fn chain(units: &[(&str, &[&str])]) -> Graph {
        let unit = |(index, (package, features)): (usize, &(&str, &[&str]))| Unit {
            pkg_id: format!("registry/{package}"),
            target: Target { name: (*package).to_owned(), kind: vec!["lib".to_owned()] },
            mode: "build".to_owned(),
            features: features.iter().map(|&feature| feature.to_owned()).collect(),
            dependencies: (index + 1 < units.len())
                .then_some(Dependency { index: index + 1 })
                .into_iter()
                .collect(),
        };
        Graph { units: units.iter().enumerate().map(unit).collect() }
    }

    #[test]
    fn what_is_compiled_anew_is_named_by_its_cause() {
        let whole = chain(&[("top", &[]), ("middle", &["a"]), ("bottom", &["a", "b"])]);
        let beyond = |alone: &[(&str, &[&str])]| chain(alone).beyond(&whole).into_iter().collect::<Vec<_>>();
        assert_eq!(
            beyond(&[("middle", &["a"]), ("bottom", &["b", "a"])]),
            Vec::<String>::new(),
            "a part of it"
        );
        let other = beyond(&[("middle", &["a"]), ("bottom", &["a"])]);
        assert_eq!(other, ["`bottom` with the features [a]"], "the cause, not what stands on it");
        let moved = beyond(&[("top", &[]), ("bottom", &["a", "b"])]);
        assert_eq!(moved, ["`top` with the features []"], "it stands on something else");
    }
}
