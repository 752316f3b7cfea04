//! The workspace as Cargo sees it: where it is, its packages, and its binaries built in release mode.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::experiment::plan::{Plan, Program};

/// The Cargo that runs this, or the one in the path.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The workspace of the manifest that `cargo xtask` runs, or the nearest one above the current folder.
pub(crate) fn root() -> Result<PathBuf> {
    let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => std::env::current_dir().context("there is no current folder")?,
    };
    let found = start.ancestors().find(|folder| folder.join("xtask/experiments").is_dir());
    found
        .map(Path::to_owned)
        .with_context(|| format!("no workspace with xtask/experiments above {}", start.display()))
}

/// `cargo metadata` without dependencies' own dependencies: what tidy and bench need of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) license: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Where a dependency by path is; none for one from a registry.
    pub(crate) path: Option<PathBuf>,
}

pub(crate) fn metadata(root: &Path) -> Result<Metadata> {
    let mut command = Command::new(cargo());
    command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root);
    let output = command.stderr(Stdio::inherit()).output().context("cannot run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata failed in {}", root.display());
    serde_json::from_slice(&output.stdout).context("cargo metadata printed what cannot be read")
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Builds one binary of a package in release mode, with the package's default features: where it is.
pub(crate) fn release_binary(root: &Path, package: &str, binary: &str) -> Result<PathBuf> {
    let mut command = Command::new(cargo());
    command.args(["build", "--release", "-p", package, "--bin", binary]).current_dir(root);
    let status = command.stdout(Stdio::null()).status().context("cannot run cargo build")?;
    ensure!(status.success(), "cargo build failed for `{package}`");
    Ok(metadata(root)?.target_directory.join("release").join(binary))
}

/// Builds one bench target of a package as `cargo bench` does, without running it: where its executable is.
pub(crate) fn bench_target(root: &Path, package: &str, bench: &str, features: &[String]) -> Result<PathBuf> {
    let mut command = Command::new(cargo());
    command.args(["bench", "--no-run", "--message-format=json-render-diagnostics"]);
    command.args(["--package", package, "--bench", bench]);
    if !features.is_empty() {
        command.arg("--features").arg(features.join(","));
    }
    let output =
        command.current_dir(root).stderr(Stdio::inherit()).output().context("cannot run cargo bench")?;
    ensure!(output.status.success(), "cargo bench failed for `{package}`");
    let of_bench = |target: Target| target.name == bench && target.kind.iter().any(|kind| kind == "bench");
    let found = artifacts(&output.stdout).find_map(|(target, path)| of_bench(target).then_some(path));
    found.with_context(|| format!("cargo built `{package}`, but said no path of its bench `{bench}`"))
}

/// The executables among Cargo's messages.
fn artifacts(messages: &[u8]) -> impl Iterator<Item = (Target, PathBuf)> {
    let messages = messages.split(|&byte| byte == b'\n');
    messages.filter_map(|line| {
        let message: Message = serde_json::from_slice(line).ok()?;
        (message.reason == "compiler-artifact").then_some((message.target?, message.executable?))
    })
}

/// Builds the binaries of a plan in release mode, one call a package; Cargo's own progress goes to stderr.
pub(crate) fn build(root: &Path, plan: &Plan) -> Result<HashMap<Program, PathBuf>> {
    let mut packages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in &plan.nodes {
        if let Program::Binary { package, binary } = &node.program {
            let binaries = packages.entry(package).or_default();
            if !binaries.contains(&binary.as_str()) {
                binaries.push(binary);
            }
        }
    }
    let mut paths = HashMap::new();
    for (package, binaries) in packages {
        let mut command = Command::new(cargo());
        command.args(["build", "--release", "--message-format=json-render-diagnostics", "-p", package]);
        if let Some(features) = plan.features.get(package).filter(|features| !features.is_empty()) {
            command.arg("--features").arg(features.iter().cloned().collect::<Vec<_>>().join(","));
        }
        for binary in &binaries {
            command.args(["--bin", binary]);
        }
        let output =
            command.current_dir(root).stderr(Stdio::inherit()).output().context("cannot run cargo build")?;
        ensure!(output.status.success(), "cargo build failed for `{package}`");
        for (target, path) in artifacts(&output.stdout) {
            paths.insert(Program::Binary { package: package.to_owned(), binary: target.name }, path);
        }
        for binary in binaries {
            let built = Program::Binary { package: package.to_owned(), binary: binary.to_owned() };
            if !paths.contains_key(&built) {
                bail!("cargo built `{package}`, but said no path of its binary `{binary}`");
            }
        }
    }
    Ok(paths)
}
