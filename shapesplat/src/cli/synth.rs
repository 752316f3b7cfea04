//! `shapesplat synth`: a folder of labelled meshes.

use std::io::{Write, stdout};
use std::path::PathBuf;

use grouping_core::command::bar;
use grouping_core::files::output::Existing;
use shapesplat::synth::{Class, Dataset, Split};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder: {class}/{train|test}/{class}_NNNN/model.obj with its material and texture, manifest.json, contact-sheet.png
    #[arg(value_name = "DIR")]
    output: PathBuf,
    /// Objects of each of the ten classes; one in five is for tests
    #[arg(long, value_name = "N", default_value_t = 60)]
    per_class: usize,
    /// Seed of all objects
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Replace a folder that such a command made
    #[arg(long)]
    force: bool,
    /// Print the manifest
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let progress = bar(Class::ALL.len().saturating_mul(args.per_class), "objects");
    let existing = Existing::replaced_if(args.force);
    let dataset = Dataset::write(&args.output, args.per_class, args.seed, existing, || progress.inc(1))?;
    progress.finish_and_clear();
    let mut out = stdout().lock();
    if args.json {
        return Ok(writeln!(out, "{}", serde_json::to_string(&dataset)?)?);
    }
    let n_train = dataset.objects.iter().filter(|object| object.split == Split::Train).count();
    let (n, place) = (dataset.objects.len(), args.output.display());
    Ok(writeln!(
        out,
        "{place}: {n} objects of {} classes, {n_train} to train, {} to test",
        Class::ALL.len(),
        n - n_train
    )?)
}
