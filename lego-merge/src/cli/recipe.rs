//! `lego-merge recipe`.

use std::path::PathBuf;

use super::merge::{OutputArgs, merge};
use crate::recipe::Recipe;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The merge as TOML, or the merge.json beside a merged adapter
    #[arg(value_name = "FILE")]
    recipe: PathBuf,
    /// Folder to write
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut recipe = Recipe::read(&args.recipe)?;
    recipe.check_content()?;
    merge(&recipe, &args.out, &args.output)
}
