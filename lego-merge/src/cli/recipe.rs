//! `lego-merge recipe`.

use std::path::PathBuf;

use super::merge::{MergeArgs, merge};
use lego_merge::recipe::Recipe;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The merge as TOML, or the merge.json beside a merged adapter
    #[arg(value_name = "FILE")]
    recipe: PathBuf,
    #[command(flatten)]
    rest: MergeArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut recipe = Recipe::read(&args.recipe)?;
    recipe.check_content()?;
    merge(&recipe, &args.rest)
}
