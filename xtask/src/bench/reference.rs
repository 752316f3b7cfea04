//! Scripts that do the same work with the reference code and print what they measured.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::case::Measure;
use super::words::Words;

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
    /// Arguments of the script; `{name}` is the event's name.
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// How many times the script's work ours is: its figure is multiplied.
    #[serde(default = "one")]
    times: f64,
}

fn one() -> f64 {
    1.0
}

impl Reference {
    /// Whether both name one event of one and the same run.
    pub(super) fn is_same_run(&self, other: &Self) -> bool {
        let run = |one: &Self| (one.script.clone(), one.name.clone(), one.args.clone(), one.env.clone());
        run(self) == run(other)
    }

    fn args(&self, words: &Words) -> Result<Vec<String>> {
        let named: Vec<_> = self.args.iter().map(|arg| arg.replace("{name}", &self.name)).collect();
        words.fill(&named)
    }

    /// What it needed for our work: seconds or bytes.
    pub(super) fn figure(&self, timed: &Timed, ours: Measure) -> Result<f64> {
        let figure = match self.measure.unwrap_or(ours) {
            Measure::Wall => timed.wall_secs,
            Measure::Cpu => timed.cpu_secs,
            Measure::Memory => timed.peak_memory_bytes.context("the event has no peak_memory_bytes")?,
            Measure::Size => timed.output_bytes.context("the event has no output_bytes")?,
        };
        ensure!(figure > 0.0, "{}: `{}` measured {figure}", self.script.display(), self.name);
        Ok(figure * self.times)
    }
}

#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Timed {
    event: String,
    name: String,
    wall_secs: f64,
    cpu_secs: f64,
    peak_memory_bytes: Option<f64>,
    output_bytes: Option<f64>,
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

/// Where scripts are, and what runs them.
#[derive(Debug)]
pub(super) struct References<'a> {
    root: &'a Path,
    python: Option<&'a Path>,
}

impl<'a> References<'a> {
    pub(super) fn new(root: &'a Path, python: Option<&'a Path>) -> Self {
        Self { root, python }
    }

    /// Runs the script now and takes its event of this name; none without Python.
    pub(super) fn run(&self, reference: &Reference, words: &Words) -> Result<Option<Timed>> {
        let Some(python) = self.python else { return Ok(None) };
        let script = reference.script.display();
        let mut command = Command::new(python);
        command.arg(self.root.join(&reference.script)).args(reference.args(words)?).envs(&reference.env);
        let output = command.current_dir(self.root).stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("cannot run {}", python.display()))?;
        ensure!(output.status.success(), "{script} failed ({})", output.status);
        let mut timed = timed(&String::from_utf8_lossy(&output.stdout));
        let Some(at) = timed.iter().position(|timed| timed.name == reference.name) else {
            bail!("{script} printed no bench event named `{}`", reference.name)
        };
        Ok(Some(timed.swap_remove(at)))
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

    #[test]
    fn arguments_may_hold_the_name() {
        let reference: Reference =
            toml::from_str("script = \"s\"\nname = \"a/b\"\nargs = [\"vit\", \"{name}\"]").expect("valid");
        let words = Words::new("w".into(), &indexmap::IndexMap::new());
        assert_eq!(reference.args(&words).expect("known words"), ["vit", "a/b"], "the name of the event");
    }

    #[test]
    fn figures_are_those_of_the_measure() {
        let event =
            "{\"event\":\"bench\",\"name\":\"a\",\"wall_secs\":2.0,\"cpu_secs\":3.5,\"output_bytes\":80}";
        let timed = &timed(event)[0];
        let reference: Reference = toml::from_str("script = \"s\"\nname = \"a\"\ntimes = 2").expect("valid");
        let figure = |measure| reference.figure(timed, measure).ok();
        let measures = [Measure::Wall, Measure::Cpu, Measure::Size];
        assert_eq!(measures.map(figure), [Some(4.0), Some(7.0), Some(160.0)], "each, times the work");
        assert_eq!(figure(Measure::Memory), None, "what the script has not measured");
    }
}
