//! `iscs-lic reorder`.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use grouping_core::command::check_output;
use grouping_core::files::output::Existing;
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::plan::{Plan, reorder, undo};
use serde_json::json;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A checkpoint of CompressAI (.pth, .pth.tar, .safetensors); without it the small model that is built in
    #[arg(value_name = "MODEL")]
    model: Option<PathBuf>,
    /// A plan that was made for the model
    #[arg(long, value_name = "PLAN.json")]
    plan: PathBuf,
    /// The model to write, which CompressAI loads
    #[arg(short, long, value_name = "FILE.safetensors")]
    output: PathBuf,
    /// Undo it: MODEL was reordered by the plan, and becomes the model that the plan was made for
    #[arg(long)]
    undo: bool,
    /// Replace a file that exists
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Either way of folding.
type Fold = fn(&Checkpoint, &Plan, &Path, Existing) -> iscs_lic::Result<Checkpoint>;

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let existing = Existing::replaced_if(args.force);
    existing.check(&args.output)?;
    let inputs: Vec<&PathBuf> = args.model.iter().chain([&args.plan]).collect();
    check_output(&args.output, "safetensors", &inputs)?;
    let plan = Plan::read(&args.plan)?;
    let checkpoint = super::checkpoint(args.model.as_deref())?;
    let fold: Fold = if args.undo { undo } else { reorder };
    let written = fold(&checkpoint, &plan, &args.output, existing).map_err(super::of_plan(&args.plan))?;
    let n_moved = plan.order().iter().enumerate().filter(|(position, channel)| position != *channel).count();
    let fingerprint: String = written.fingerprint().iter().map(|byte| format!("{byte:02x}")).collect();
    if args.json {
        let value = json!({"output": args.output, "architecture": written.architecture().name(),
            "channels": written.m(), "moved": n_moved, "fingerprint": fingerprint});
        return Ok(writeln!(stdout(), "{value}")?);
    }
    let (name, m, architecture) = (args.output.display(), written.m(), written.architecture());
    let does = if args.undo { "back in their places" } else { "in other places" };
    Ok(writeln!(
        stdout(),
        "{name}: {n_moved} of {m} channels of {architecture} {does}; fingerprint {fingerprint}"
    )?)
}
