//! `iscs-lic decode`.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use grouping_core::command::{answer, check_output};
use grouping_core::files::output::Existing;
use serde_json::json;

use super::coded::{decode, read};
use super::model::ModelArgs;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A coded picture: .iscs, or .cai of CompressAI's codec.py
    #[arg(value_name = "FILE")]
    coded: PathBuf,
    /// The PNG file to write
    #[arg(short, long, value_name = "PICTURE.png")]
    output: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Refuse a file that is damaged or cut, instead of decoding what does not depend on the damage
    #[arg(long)]
    strict: bool,
    /// Replace a picture that exists
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Exit status 1 where parts of the picture are missing.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let existing = Existing::replaced_if(args.force);
    existing.check(&args.output)?;
    check_output(&args.output, "png", &[&args.coded])?;
    let read = read(&args.coded)?;
    let codec = args.model.codec()?;
    let start = Instant::now();
    let (picture, lost) = decode(&args.coded, &codec, &read, args.strict)?;
    let secs = start.elapsed().as_secs_f64();
    picture.write_png(&args.output, existing)?;
    let (width, height) = (picture.width(), picture.height());
    if args.json {
        let value = json!({"output": args.output, "width": width, "height": height, "lost": lost, "decoding_time": secs});
        answer(writeln!(stdout(), "{value}").map_err(Into::into), !lost.is_empty())
    } else {
        let line = format!("{}: {width}×{height}, {secs:.2} s", args.output.display());
        answer(writeln!(stdout(), "{line}").map_err(Into::into), !lost.is_empty())
    }
}
