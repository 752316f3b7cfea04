//! `lego-merge verify`.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::console::{open, peak_memory_bytes};
use super::disagreement::DisagreementArgs;
use crate::adapter::Adapter;
use crate::merge::MethodSpec;
use crate::verify::{Verification, verify};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The merged adapter
    #[arg(value_name = "OUT")]
    merged: PathBuf,
    /// What it was merged from, in the same order
    #[arg(long, required = true, num_args = 1.., value_name = "ADAPTER")]
    sources: Vec<PathBuf>,
    #[command(flatten)]
    method: MethodSpec,
    /// Only modules in whose names this regular expression is found
    #[arg(long, value_name = "REGEX")]
    include: Option<String>,
    /// No modules in whose names this regular expression is found
    #[arg(long, value_name = "REGEX")]
    exclude: Option<String>,
    #[command(flatten)]
    disagreement: DisagreementArgs,
    /// Greatest relative distance that counts as equal, of each module's update and bias and of each head; bf16 results
    /// need about 1e-2
    #[arg(long, default_value_t = 1e-5, value_name = "T", allow_negative_numbers = true)]
    tolerance: f64,
    /// Print every module as JSON
    #[arg(long)]
    json: bool,
}

/// Exit status 1 when the adapter is another than the merge.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut config = args.method.config()?;
    if let Some(pattern) = &args.include {
        config = config.with_include(pattern)?;
    }
    if let Some(pattern) = &args.exclude {
        config = config.with_exclude(pattern)?;
    }
    let config = args.disagreement.apply(config);
    let merged = Adapter::read(&args.merged)?;
    let verification = verify(&merged, &open(&args.sources)?, &config, args.tolerance)?;
    print(args, &verification)?;
    Ok(if verification.is_equal() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn print(args: &Args, verification: &Verification) -> anyhow::Result<()> {
    let mut out = stdout();
    if args.json {
        let mut value = json!(verification);
        value["event"] = "verified".into();
        value["equal"] = verification.is_equal().into();
        value["peak_memory_bytes"] = peak_memory_bytes().into();
        return Ok(writeln!(out, "{value}")?);
    }
    for mismatch in &verification.mismatches {
        writeln!(out, "{mismatch}")?;
    }
    let far = verification.modules.iter().filter(|m| m.distance.is_nan() || m.distance > args.tolerance);
    for module in far {
        writeln!(out, "module {}: relative distance {:.2e}", module.module, module.distance)?;
    }
    let verdict = if verification.is_equal() { "equal" } else { "DIFFERS" };
    let n = verification.modules.len();
    writeln!(out, "{verdict}: {n} modules, greatest relative distance {:.2e}", verification.distance())?;
    Ok(())
}
