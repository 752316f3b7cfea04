//! A binary of the workspace, run as a user runs it: the whole process is measured, several times, the median counts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::case::Measure;
use super::words::Words;
use crate::cargo::{Executable, Kind};
use crate::experiment::cache::Usage;
use crate::experiment::process::{Process, Streams, lock};

/// One command of a binary.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WholeProcess {
    /// The binary of the crate, built in release mode.
    binary: String,
    /// Its arguments; `{out}` is a place that is free before every run.
    args: Vec<String>,
    /// Number of runs a round.
    #[serde(default = "three")]
    runs: usize,
    #[serde(default)]
    env: BTreeMap<String, String>,
}

fn three() -> usize {
    3
}

/// An example of the crate that makes what the processes work on, run where its result is not there yet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Prepare {
    example: String,
    args: Vec<String>,
    /// What it makes.
    makes: String,
}

impl Prepare {
    pub(super) fn executable(&self, package: &str) -> Executable {
        Executable { package: package.to_owned(), kind: Kind::Example, name: self.example.clone() }
    }

    pub(super) fn run(&self, root: &Path, example: &Path, words: &Words) -> Result<()> {
        let place = PathBuf::from(words.fill(std::slice::from_ref(&self.makes))?.concat());
        if place.exists() {
            return Ok(());
        }
        let mut command = Command::new(example);
        command.args(words.fill(&self.args)?).current_dir(root);
        let status = command.stdout(Stdio::null()).status().context("cannot run the example")?;
        ensure!(status.success(), "example `{}` failed ({status})", self.example);
        ensure!(place.exists(), "example `{}` has not made {}", self.example, place.display());
        Ok(())
    }
}

/// The bytes of a file, or of all files below a folder.
fn size_below(place: &Path) -> std::io::Result<u64> {
    let found = fs::metadata(place)?;
    if !found.is_dir() {
        return Ok(found.len());
    }
    fs::read_dir(place)?.map(|entry| size_below(&entry?.path())).sum()
}

impl WholeProcess {
    pub(super) fn id(&self) -> String {
        format!("{} {}", self.binary, self.args.join(" "))
    }

    pub(super) fn executable(&self, package: &str) -> Executable {
        Executable { package: package.to_owned(), kind: Kind::Bin, name: self.binary.clone() }
    }

    /// The median of one measure over all runs.
    pub(super) fn figure(&self, binary: &Path, measure: Measure, words: &Words) -> Result<f64> {
        let work = words.work();
        fs::create_dir_all(work).with_context(|| format!("cannot create {}", work.display()))?;
        let mut figures = Vec::new();
        for _ in 0..self.runs.max(1) {
            let out = work.join("out");
            if out.exists() {
                fs::remove_dir_all(&out).with_context(|| format!("cannot remove {}", out.display()))?;
            }
            let usage = self.run(binary, words)?;
            figures.push(match measure {
                Measure::Wall => usage.wall_secs,
                Measure::Cpu => usage.cpu_secs,
                Measure::Memory => usage.peak_memory_bytes as f64,
                Measure::Size => {
                    size_below(&out).with_context(|| format!("no output in {}", out.display()))? as f64
                }
            });
        }
        figures.sort_by(f64::total_cmp);
        Ok(figures[figures.len() / 2])
    }

    fn run(&self, binary: &Path, words: &Words) -> Result<Usage> {
        let work = words.work();
        let Some(lock) = lock(&work.join("lock")).context("cannot lock the folder of the bench")? else {
            bail!("{}: another bench runs there", work.display())
        };
        let file = |name: &str| File::create(work.join(name)).with_context(|| format!("cannot write {name}"));
        let streams = Streams { lock, stdout: file("stdout")?, stderr: file("stderr")? };
        let mut command = Command::new(binary);
        command.args(words.fill(&self.args)?).envs(&self.env);
        let mut process = Process::start(command, streams).context("cannot start the binary")?;
        loop {
            if let Some((status, usage)) = process.poll().context("cannot wait for the binary")? {
                let printed = fs::read_to_string(work.join("stderr")).unwrap_or_default();
                ensure!(status.success(), "`{}` failed ({status}):\n{printed}", self.id());
                return Ok(usage);
            }
            sleep(Duration::from_millis(2));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_a_file_or_all_files_of_a_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("in")).expect("a folder in it");
        for (name, length) in [("a", 3), ("in/b", 40)] {
            fs::write(folder.path().join(name), vec![0; length]).expect("a file");
        }
        let size = |place: &Path| size_below(place).ok();
        assert_eq!(size(folder.path()), Some(43), "all files");
        assert_eq!(size(&folder.path().join("a")), Some(3), "one file");
        assert_eq!(size(&folder.path().join("b")), None, "no output");
    }
}
