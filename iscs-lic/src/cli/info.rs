//! `iscs-lic info`.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use grouping_core::files::tensor_file::has_names;
use iscs_lic::checkpoint::Checkpoint;
use serde_json::json;

use super::coded::read;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A coded picture (.iscs, .cai) or a checkpoint; without it the model that is built in
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(path) = args.file.as_ref().filter(|path| path.is_dir()) {
        anyhow::bail!("{}: expected a coded picture or a checkpoint, found a folder", path.display());
    }
    match &args.file {
        None => of_checkpoint(&Checkpoint::default_model()?, args.json),
        Some(path) if is_checkpoint(path)? => of_checkpoint(&Checkpoint::open(path)?, args.json),
        Some(path) => {
            let summary = read(path)?.summary();
            if args.json {
                Ok(writeln!(stdout(), "{}", serde_json::to_string(&summary)?)?)
            } else {
                Ok(writeln!(stdout(), "{summary}")?)
            }
        }
    }
}

fn is_checkpoint(path: &Path) -> anyhow::Result<bool> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let is_coded = matches!(extension.as_deref(), Some("iscs" | "cai"));
    Ok(!is_coded && has_names(path)?)
}

fn of_checkpoint(checkpoint: &Checkpoint, is_json: bool) -> anyhow::Result<()> {
    let fingerprint: String = checkpoint.fingerprint().iter().map(|byte| format!("{byte:02x}")).collect();
    let name = checkpoint.architecture().name();
    let (n, m) = (checkpoint.n(), checkpoint.m());
    let n_parameters: usize =
        checkpoint.design().parameters().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    if is_json {
        let value = json!({"architecture": name, "n": n, "m": m, "parameters": n_parameters,
            "entropy_models": checkpoint.entropy_models(), "fingerprint": fingerprint});
        return Ok(writeln!(stdout(), "{value}")?);
    }
    let lines = [
        format!("architecture    {name}, N = {n}, M = {m}"),
        format!("parameters      {n_parameters}"),
        format!("entropy models  {}", checkpoint.entropy_models().join(", ")),
        format!("fingerprint     {fingerprint}"),
    ];
    Ok(writeln!(stdout(), "{}", lines.join("\n"))?)
}
