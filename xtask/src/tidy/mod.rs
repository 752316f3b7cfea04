//! `cargo xtask tidy`: the rules of this house that compilers do not check.

mod documents;
mod flags;
mod imports;
mod manifests;
mod map;
mod sources;
mod units;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::bench;
use crate::cargo;
use crate::experiment::plan::{Library, Plan};
use crate::report;

/// A text file of the repository; the path is relative to the root, with `/`.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    fn has_extension(&self, extensions: &[&str]) -> bool {
        self.name().rsplit_once('.').is_some_and(|(_, extension)| extensions.contains(&extension))
    }
}

/// Checks everything and prints what is wrong; whether nothing is.
pub(crate) fn tidy(root: &Path) -> Result<bool> {
    let paths = files(root)?;
    let mut sources = Vec::new();
    for path in &paths {
        let bytes = std::fs::read(root.join(path)).with_context(|| format!("cannot read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source { path: path.clone(), text });
        }
    }
    let metadata = cargo::metadata(root)?;
    let mut wrong = Vec::new();
    wrong.extend(manifests::check(root, &metadata, &sources));
    sources.iter().for_each(|source| wrong.extend(sources::check(source)));
    let experiments = experiments(root, &mut wrong);
    wrong.extend(documents::check(root, &sources, &experiments));
    wrong.extend(documents::golden_files(&paths, &sources));
    wrong.extend(map::build_outputs(&paths));
    wrong.extend(map::places(&sources));
    wrong.extend(imports::check(&sources));
    wrong.extend(flags::check(&sources));
    wrong.extend(units::check(root, &metadata)?);
    for (_, path) in bench::files(root)? {
        wrong.extend(bench::read(&path).err().map(|error| format!("{error:#}")));
    }
    wrong.sort();
    wrong.dedup();
    let mut out = std::io::stdout().lock();
    for line in &wrong {
        writeln!(out, "{line}")?;
    }
    match wrong.len() {
        0 => writeln!(out, "{} files are tidy", sources.len())?,
        n => writeln!(out, "{n} things are not tidy")?,
    }
    Ok(wrong.is_empty())
}

/// Plans each experiment at each of its scales; returns the names of those that could be read.
fn experiments(root: &Path, wrong: &mut Vec<String>) -> Vec<String> {
    let library = match Library::read(&root.join("xtask/experiments")) {
        Ok(library) => library,
        Err(error) => {
            wrong.push(format!("{error:#}"));
            return Vec::new();
        }
    };
    for (id, experiment) in &library.experiments {
        for scale in experiment.scales.keys() {
            let planned = Plan::new(&library, std::slice::from_ref(id), *scale);
            let checked = planned.and_then(|_| report::check(experiment, *scale));
            wrong.extend(
                checked.err().map(|error| format!("xtask/experiments/{id}.toml at scale {scale}: {error:#}")),
            );
        }
    }
    library.experiments.keys().cloned().collect()
}

/// The files that belong to the repository: what Git tracks or would, and without Git all but build outputs.
fn files(root: &Path) -> Result<Vec<String>> {
    let mut command = Command::new("git");
    command.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]).current_dir(root);
    let mut paths = match command.output() {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8(output.stdout).context("a path is not UTF-8")?;
            text.split('\0').filter(|path| root.join(path).is_file()).map(str::to_owned).collect()
        }
        _ => {
            let mut paths = Vec::new();
            walk(root, &mut PathBuf::new(), &mut paths)?;
            paths
        }
    };
    paths.sort();
    Ok(paths)
}

fn walk(root: &Path, below: &mut PathBuf, paths: &mut Vec<String>) -> Result<()> {
    let folder = root.join(&*below);
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let ignored =
            name == ".git" || name == "results" || name == "__pycache__" || name.starts_with("target");
        if ignored && below.as_os_str().is_empty() || name == "__pycache__" {
            continue;
        }
        below.push(&name);
        if entry.file_type()?.is_dir() {
            walk(root, below, paths)?;
        } else {
            paths.push(below.to_string_lossy().replace('\\', "/"));
        }
        below.pop();
    }
    Ok(())
}
