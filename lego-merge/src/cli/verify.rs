//! `lego-merge verify`.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use grouping_core::process::peak_memory_bytes;
use serde_json::json;

use super::disagreement::DisagreementArgs;
use super::selection::SelectionArgs;
use super::sources::open;
use lego_merge::adapter::Adapter;
use lego_merge::merge::MethodSpec;
use lego_merge::recipe::{Recipe, RecipeAdapter};
use lego_merge::verify::{Verification, verify};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The merged adapter
    #[arg(value_name = "OUT")]
    merged: PathBuf,
    /// What it was merged from, in the same order
    #[arg(long, required_unless_present = "recipe", num_args = 1.., value_name = "ADAPTER")]
    sources: Vec<PathBuf>,
    /// The merge as TOML, or the merge.json beside a merged adapter, in place of sources and method
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sources", "MethodSpec", "SelectionArgs"])]
    recipe: Option<PathBuf>,
    #[command(flatten)]
    method: MethodSpec,
    #[command(flatten)]
    selection: SelectionArgs,
    /// Weights of the base model, a folder or file of safetensors, for DoRA sources
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
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

impl Args {
    /// The merge in words.
    fn recipe(&self) -> anyhow::Result<Recipe> {
        let mut recipe = match &self.recipe {
            Some(path) => {
                let mut recipe = Recipe::read(path)?;
                recipe.check_content()?;
                recipe
            }
            None => {
                let adapters = self.sources.iter().map(RecipeAdapter::new).collect();
                let mut recipe = Recipe::new(adapters, self.method.clone());
                self.selection.record(&mut recipe);
                recipe
            }
        };
        recipe.allow_base_mismatch |= self.disagreement.allow_base_mismatch;
        recipe.modules_to_save = self.disagreement.modules_to_save.or(recipe.modules_to_save);
        recipe.base = self.base.clone().or(recipe.base);
        Ok(recipe)
    }
}

/// Exit status 1 when the adapter is another than the merge.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let recipe = args.recipe()?;
    let config = recipe.config()?;
    let merged = Adapter::read(&args.merged)?;
    let (sources, _) = open(&recipe)?;
    let verification = verify(&merged, &sources, &config, args.tolerance)?;
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
