//! `shapesplat convert`.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use grouping_core::command::{CellAlignment, not_an_input, say, table};
use grouping_core::files::output::Existing;
use serde_json::json;
use shapesplat::edit::{apply, merge};
use shapesplat::format::{self, Format, WriteOptions, Written};
use shapesplat::splats::Bad;

use super::edit::Edits;

/// Convert splats from one format to another
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Splat files of any format, told by their content; several become one scene
    #[arg(value_name = "IN", required = true)]
    inputs: Vec<PathBuf>,
    /// The file to write, in the format of its extension: .ply, .compressed.ply, .splat, .spz, .sog or .glb
    #[arg(value_name = "OUT")]
    output: PathBuf,
    #[command(flatten)]
    edits: Edits,
    /// Version of a .spz: 2 and 3 are gzip, 4 is zstd
    #[arg(long, value_name = "N", default_value_t = WriteOptions::default().spz_version)]
    spz_version: u32,
    /// Fractional bits of positions in a .spz, up to 23; 12 if not given, or as many as the furthest position leaves
    #[arg(long, value_name = "N")]
    spz_fractional_bits: Option<u32>,
    /// Bits of the coefficients of degree 1 and of those above in a .spz, 1 to 8
    #[arg(long, value_name = "N", num_args = 2, default_values_t = WriteOptions::default().spz_sh_bits)]
    spz_sh_bits: Vec<u32>,
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

impl Args {
    fn options(&self) -> WriteOptions {
        let mut options = WriteOptions::default();
        options.spz_version = self.spz_version;
        options.spz_fractional_bits = self.spz_fractional_bits;
        if let [first, others] = self.spz_sh_bits[..] {
            options.spz_sh_bits = [first, others];
        }
        options
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let existing = Existing::replaced_if(args.force);
    let to = Format::of_extension(&args.output)?;
    existing.check(&args.output)?;
    not_an_input(&args.output, &args.inputs.iter().collect::<Vec<_>>())?;
    let bad = if args.drop_bad { Bad::Drop } else { Bad::Refuse };
    let (mut scenes, mut inputs) = (vec![], vec![]);
    for path in &args.inputs {
        let loaded = format::load(path, bad)?;
        let input = path.display();
        if loaded.n_dropped > 0 {
            say(format_args!("note: {input}: {} Gaussians were dropped for their values", loaded.n_dropped));
        }
        for note in &loaded.notes {
            say(format_args!("note: {input}: not kept: {note}"));
        }
        let (name, n_bad, notes) = (loaded.format.name(), loaded.n_dropped, &loaded.notes);
        inputs.push(json!({ "file": path, "format": name, "bad": n_bad, "notes": notes }));
        scenes.push(loaded.splats);
    }
    let mut merged = merge(scenes)?;
    for note in &merged.notes {
        say(format_args!("note: {note}"));
    }
    let changes = apply(&mut merged.splats, &args.edits.actions)?;
    for change in &changes {
        if change.after < change.before {
            say(format_args!(
                "note: {}: {} of {} Gaussians are kept",
                change.action, change.after, change.before
            ));
        }
        for note in &change.notes {
            say(format_args!("note: {}: {note}", change.action));
        }
    }
    let written = format::write(&merged.splats, &args.output, existing, &args.options())?;
    for lost in &written.dropped {
        say(format_args!("note: {}: not kept: {lost}", args.output.display()));
    }
    let n_bytes = args.output.metadata()?.len();
    if args.json {
        let value = json!({
            "inputs": inputs, "merged": merged.notes, "edits": changes,
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
