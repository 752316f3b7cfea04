//! Scripts that do the same work with the reference code: each runs once a call and prints what it measured.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::{Measure, Words};

/// What a script prints for one case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Reference {
    /// The script, from the workspace's root.
    script: PathBuf,
    /// The `name` of its event.
    name: String,
    /// Which of its figures ours is compared with; unless given, the same as ours.
    pub(super) measure: Option<Measure>,
    /// Arguments of the script.
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// How many times the script's work ours is: its figure is multiplied.
    #[serde(default = "one")]
    pub(super) times: f64,
}

fn one() -> f64 {
    1.0
}

#[derive(Debug, PartialEq, Deserialize)]
struct Timed {
    event: String,
    name: String,
    wall_secs: f64,
    cpu_secs: f64,
    peak_memory_bytes: Option<f64>,
}

pub(super) fn interpreter(venv: &Path) -> Result<PathBuf> {
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

/// The reference scripts, each run once a call.
pub(super) struct References<'a> {
    pub(super) root: &'a Path,
    pub(super) python: Option<&'a Path>,
    timed: BTreeMap<(PathBuf, Vec<String>), Vec<Timed>>,
}

impl<'a> References<'a> {
    pub(super) fn new(root: &'a Path, python: Option<&'a Path>) -> Self {
        Self { root, python, timed: BTreeMap::new() }
    }

    /// What the reference needs for our work: seconds or bytes; none without Python.
    pub(super) fn figure(
        &mut self,
        reference: &Reference,
        ours: Measure,
        words: &Words,
    ) -> Result<Option<f64>> {
        let Some(python) = self.python else { return Ok(None) };
        let args = words.fill(&reference.args)?;
        let key = (reference.script.clone(), args.clone());
        if !self.timed.contains_key(&key) {
            let mut command = Command::new(python);
            command.arg(self.root.join(&reference.script)).args(args).envs(&reference.env);
            let output = command.current_dir(self.root).stderr(Stdio::inherit()).output();
            let output = output.with_context(|| format!("cannot run {}", python.display()))?;
            ensure!(output.status.success(), "{} failed ({})", reference.script.display(), output.status);
            self.timed.insert(key.clone(), timed(&String::from_utf8_lossy(&output.stdout)));
        }
        let timed = self.timed[&key].iter().find(|timed| timed.name == reference.name);
        let Some(timed) = timed else {
            bail!("{} printed no bench event named `{}`", reference.script.display(), reference.name)
        };
        let figure = match reference.measure.unwrap_or(ours) {
            Measure::Wall => timed.wall_secs,
            Measure::Cpu => timed.cpu_secs,
            Measure::Memory => timed.peak_memory_bytes.context("the event has no peak_memory_bytes")?,
        };
        ensure!(figure > 0.0, "{}: `{}` measured {figure}", reference.script.display(), reference.name);
        Ok(Some(figure * reference.times))
    }
}

fn timed(printed: &str) -> Vec<Timed> {
    let events = printed.lines().filter_map(|line| serde_json::from_str::<Timed>(line).ok());
    events.filter(|timed| timed.event == "bench").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_among_other_lines() {
        let printed = "warming up\n{\"event\":\"bench\",\"name\":\"a\",\"wall_secs\":2.0,\"cpu_secs\":3.5}\n{\"event\":\"x\"}\n";
        let timed = timed(printed);
        assert_eq!((timed.len(), timed[0].cpu_secs), (1, 3.5), "one event among other lines");
    }
}
