//! `shapesplat convert`.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use grouping_core::command::{CellAlignment, say, table};
use grouping_core::files::output::Existing;
use serde_json::json;
use shapesplat::format::{self, Format, WriteOptions, Written};
use shapesplat::splats::Bad;

/// Convert splats from one format to another
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A splat file of any format, told by its content
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write, in the format of its extension: .ply, .compressed.ply
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Drop Gaussians with a value that is NaN, an infinite position or a rotation of zeros, instead of refusing them
    #[arg(long)]
    drop_bad: bool,
    /// Replace a file that exists
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let existing = Existing::replaced_if(args.force);
    let to = Format::of_extension(&args.output)?;
    existing.check(&args.output)?;
    super::not_an_input(&args.output, &[&args.input])?;
    let bad = if args.drop_bad { Bad::Drop } else { Bad::Refuse };
    let loaded = format::load(&args.input, bad)?;
    let input = args.input.display();
    if loaded.n_dropped > 0 {
        say(format_args!("note: {input}: {} Gaussians were dropped for their values", loaded.n_dropped));
    }
    for note in &loaded.notes {
        say(format_args!("note: {input}: not kept: {note}"));
    }
    let written = format::write(&loaded.splats, &args.output, existing, &WriteOptions::default())?;
    for lost in &written.dropped {
        say(format_args!("note: {}: not kept: {lost}", args.output.display()));
    }
    let n_bytes = args.output.metadata()?.len();
    if args.json {
        let value = json!({
            "inputs": [{
                "file": args.input, "format": loaded.format.name(), "bad": loaded.n_dropped, "notes": loaded.notes,
            }],
            "output": args.output, "format": to.name(), "bytes": n_bytes,
            "count": written.count, "keeps_order": written.keeps_order, "dropped": written.dropped, "errors": written.errors,
        });
        return Ok(writeln!(stdout(), "{value}")?);
    }
    print(&args.output, to, &written, n_bytes)
}

fn print(output: &Path, to: Format, written: &Written, n_bytes: u64) -> anyhow::Result<()> {
    let order = if written.keeps_order { "" } else { ", in another order" };
    let (count, name) = (written.count, to.name());
    writeln!(stdout(), "{}: {count} Gaussians{order}, {n_bytes} bytes, {name}", output.display())?;
    if written.errors.is_empty() {
        return Ok(());
    }
    let mut table = table(["property", "greatest error", "mean error"]);
    for error in &written.errors {
        table.add_row([
            error.property.to_owned(),
            format!("{:.3e}", error.greatest),
            format!("{:.3e}", error.mean),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    Ok(writeln!(stdout(), "{table}")?)
}
