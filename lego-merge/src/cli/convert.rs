//! `lego-merge convert`.

use std::io::{Write, stdout};
use std::path::PathBuf;

use serde_json::json;

use super::console::warn;
use super::output::OutputArgs;
use lego_merge::adapter::{Adapter, convert};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Adapter: a folder or a file
    #[arg(value_name = "ADAPTER")]
    adapter: PathBuf,
    /// Folder to write (PEFT), or a file that ends with .safetensors
    #[arg(short, long, value_name = "PATH")]
    out: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let adapter = Adapter::read(&args.adapter)?;
    warn(std::slice::from_ref(&adapter));
    convert(&adapter, &args.output.output(&args.out))?;
    let written = Adapter::read(&args.out)?;
    let (from, to, out) = (adapter.format(), written.format(), args.out.display());
    let n_modules = written.modules().len();
    if args.json {
        let value = json!({
            "event": "converted", "adapter": adapter.path().display().to_string(), "from": from, "to": to,
            "modules": n_modules, "heads": written.heads(), "out": out.to_string(),
        });
        return Ok(writeln!(stdout(), "{value}")?);
    }
    Ok(writeln!(stdout(), "{n_modules} modules, {from} → {to}: {out} written")?)
}
