//! Checkpoints of a training run: folders `step-00000120` holding `parameters.safetensors`, `moments.safetensors` and `state.json`.
//!
//! A new one is written beside its place and renamed, then older ones are removed; so there is always a whole one, however the
//! process ends. `state.json` holds the step and the configuration of the run, as JSON text that must be equal to resume.

use std::path::{Path, PathBuf};

use burn::module::Module;
use serde::{Deserialize, Serialize};

use super::optimizer::Optimizer;
use crate::files::output::{Existing, write_folder};
use crate::files::text::read_text;
use crate::nn::weights::{self, Layout};
use crate::{Error, Result};

#[derive(Serialize, Deserialize)]
struct State {
    version: u32,
    step: usize,
    run: String,
}

const VERSION: u32 = 1;

/// Writes the checkpoint of `step` into `dir`, removes older ones and returns its path.
pub(super) fn save<M: Module>(
    dir: &Path,
    step: usize,
    run: &str,
    module: &M,
    optimizer: &Optimizer,
) -> Result<PathBuf> {
    let path = dir.join(format!("step-{step:08}"));
    if path.exists() {
        return Ok(path);
    }
    let state = serde_json::to_string(&State { version: VERSION, step, run: run.to_owned() });
    let state = state.expect("plain values serialise");
    write_folder(&path, Existing::Refuse, |staging| {
        weights::save(module, &staging.join(PARAMETERS), Layout::Training, None)?;
        weights::write_tensors(&optimizer.moments(), &staging.join(MOMENTS), None)?;
        let path = staging.join(STATE);
        std::fs::write(&path, state).map_err(Error::file(&path, "write"))
    })?;
    for older in steps(dir)?.into_iter().filter(|older| *older != step) {
        let older = dir.join(format!("step-{older:08}"));
        std::fs::remove_dir_all(&older).map_err(Error::file(&older, "remove"))?;
    }
    Ok(path)
}

/// Reads the latest checkpoint of `dir`, if there is one: its path, its step, and the module.
///
/// # Errors
/// [`Error::OtherRun`] where the run that it records is not `run`, [`Error::FileField`] for what is damaged or of another version,
/// [`Error::Io`] from the system.
pub(super) fn load<M: Module>(
    dir: &Path,
    run: &str,
    module: M,
    optimizer: &mut Optimizer,
) -> Result<(M, Option<(PathBuf, usize)>)> {
    let Some(step) = steps(dir)?.pop() else { return Ok((module, None)) };
    let path = dir.join(format!("step-{step:08}"));
    let file = path.join(STATE);
    let state: State = serde_json::from_str(&read_text(&file, STATE_LIMIT)?)
        .map_err(|e| Error::file_field(&file, "content", "the state of a training run", e))?;
    if state.version != VERSION {
        return Err(Error::file_field(&file, "version", VERSION.to_string(), state.version));
    }
    if state.step != step {
        return Err(Error::file_field(&file, "step", step.to_string(), state.step));
    }
    if state.run != run {
        return Err(Error::OtherRun { source: Box::new(Error::file_field(&file, "run", run, state.run)) });
    }
    let module = weights::load(module, &path.join(PARAMETERS), Layout::Training)?;
    optimizer.load(&module, weights::read_tensors(&path.join(MOMENTS))?, step)?;
    Ok((module, Some((path, step))))
}

const PARAMETERS: &str = "parameters.safetensors";
const MOMENTS: &str = "moments.safetensors";
const STATE: &str = "state.json";
/// A configuration is a few kilobytes, and so is what else describes a run.
const STATE_LIMIT: u64 = 16 << 20;

/// The steps that `dir` has whole checkpoints of, ascending; an absent folder has none.
fn steps(dir: &Path) -> Result<Vec<usize>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::file(dir, "read")(e)),
    };
    let mut steps = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::file(dir, "read"))?.file_name();
        steps.extend(name.to_str().and_then(|name| name.strip_prefix("step-")?.parse::<usize>().ok()));
    }
    steps.sort_unstable();
    Ok(steps)
}
