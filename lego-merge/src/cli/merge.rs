//! `lego-merge merge`.

use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

use grouping_core::command::{say, table};
use grouping_core::process::peak_memory_bytes;
use serde_json::json;

use super::console::plan;
use super::disagreement::DisagreementArgs;
use super::output::OutputArgs;
use super::selection::SelectionArgs;
use super::sources::open;
use lego_merge::adapter::Output;
use lego_merge::dora::Compression;
use lego_merge::merge::{MergeReport, MethodSpec, Plan, merge_to};
use lego_merge::recipe::{Recipe, RecipeAdapter};

/// The largest rank that vLLM loads by default.
const SERVED_RANK: usize = 16;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Adapters: PEFT folders, or files of diffusers, kohya or PEFT
    #[arg(required = true, value_name = "ADAPTER")]
    adapters: Vec<PathBuf>,
    #[command(flatten)]
    method: MethodSpec,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    rest: MergeArgs,
}

/// What every command that merges takes beside the merge itself.
#[derive(Debug, clap::Args)]
pub(super) struct MergeArgs {
    /// Folder to write (PEFT), or a file that ends with .safetensors
    #[arg(short, long, value_name = "PATH", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    disagreement: DisagreementArgs,
    /// Weights of the base model, a folder or file of safetensors: DoRA adapters are compressed to --rank against it
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    /// Only say what would be written: ranks and sizes
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    /// The merge in words, as it is recorded beside the result.
    fn recipe(&self) -> Recipe {
        let adapters = self.adapters.iter().map(RecipeAdapter::new).collect();
        let mut recipe = Recipe::new(adapters, self.method.clone());
        self.selection.record(&mut recipe);
        recipe
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    merge(&args.recipe(), &args.rest)
}

/// Merges by a recipe, or says what that would give.
pub(super) fn merge(recipe: &Recipe, args: &MergeArgs) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut recipe = recipe.clone();
    recipe.allow_base_mismatch |= args.disagreement.allow_base_mismatch;
    recipe.modules_to_save = args.disagreement.modules_to_save.or(recipe.modules_to_save);
    recipe.base = args.base.clone().or(recipe.base);
    let config = recipe.config()?;
    if let Some(share) = recipe.merge.density.filter(|share| *share >= 1.0) {
        say(format_args!("warning: --density {share}: nothing is pruned"));
    }
    let out = args.out.as_ref().filter(|_| !args.dry_run);
    let output = out.map(|out| args.output.output(out));
    output.iter().try_for_each(Output::check)?;
    let (adapters, compressions) = open(&recipe)?;
    let (plan, bar) = plan(&adapters, &config)?;
    if plan.config().r > SERVED_RANK {
        let r = plan.config().r;
        bar.suspend(|| {
            say(format_args!(
                "warning: rank {r}: some servers load adapters up to rank {SERVED_RANK} only unless told otherwise"
            ));
        });
    }
    let (Some(out), Some(output)) = (out, output) else {
        bar.finish_and_clear();
        return print_plan(&plan, args);
    };
    let report = merge_to(&plan, &recipe.beside(output, &plan)?, |_| bar.inc(1))?;
    bar.finish_and_clear();
    let secs = start.elapsed().as_secs_f64();
    if args.json {
        print_json(out, &report, &compressions, secs)
    } else {
        print_summary(&recipe, out, &report, secs)
    }
}

/// The ranks and sizes of a merge that was only planned.
fn print_plan(plan: &Plan<'_>, args: &MergeArgs) -> anyhow::Result<()> {
    let n_values: usize = plan.modules().iter().map(|m| m.rank * (m.n_inputs + m.n_outputs)).sum();
    let mut out = stdout();
    if args.json {
        let modules: Vec<_> = plan
            .modules()
            .iter()
            .map(|m| {
                json!({"module": m.name, "rank": m.rank,
            "n_inputs": m.n_inputs, "n_outputs": m.n_outputs, "adapters": m.members, "weights": m.weights})
            })
            .collect();
        let heads: Vec<_> = plan.heads().iter().map(|(name, _)| name).collect();
        let value = json!({"event": "planned", "r": plan.config().r, "modules": modules, "heads": heads,
            "factor_values": n_values});
        return Ok(writeln!(out, "{value}")?);
    }
    let mut table = table(["module", "d_out × d_in", "adapters", "rank"]);
    for m in plan.modules() {
        let adapters = m.members.iter().map(|i| (i + 1).to_string()).collect::<Vec<_>>().join(" ");
        table.add_row([
            m.name.clone(),
            format!("{} × {}", m.n_outputs, m.n_inputs),
            adapters,
            m.rank.to_string(),
        ]);
    }
    writeln!(out, "{table}")?;
    for (name, owner) in plan.heads() {
        writeln!(out, "head {name} of adapter {}", owner + 1)?;
    }
    let megabytes = n_values as f64 * 4.0 / 1e6;
    writeln!(
        out,
        "rank {} at most, {megabytes:.1} MB of factors in f32; nothing was written",
        plan.config().r
    )?;
    Ok(())
}

fn print_json(out: &Path, report: &MergeReport, lost: &[Compression], secs: f64) -> anyhow::Result<()> {
    let mut value = json!(report);
    value["event"] = "merged".into();
    value["out"] = out.display().to_string().into();
    if !lost.is_empty() {
        value["compressions"] = json!(lost);
    }
    value["relative_distance"] = report.relative_distance().into();
    value["agreement"] = json!(report.agreement());
    value["wall_secs"] = secs.into();
    value["peak_memory_bytes"] = peak_memory_bytes().into();
    Ok(writeln!(stdout(), "{value}")?)
}

fn print_summary(recipe: &Recipe, place: &Path, report: &MergeReport, secs: f64) -> anyhow::Result<()> {
    let mut by_rank: BTreeMap<(usize, &[usize]), usize> = BTreeMap::new();
    for module in &report.modules {
        *by_rank.entry((module.rank, &module.source_ranks)).or_default() += 1;
    }
    let mut table = table(["modules", "source ranks", "rank"]);
    for ((rank, sources), count) in by_rank {
        let sources = sources.iter().map(usize::to_string).collect::<Vec<_>>().join(" + ");
        table.add_row([count.to_string(), sources, rank.to_string()]);
    }
    let mut out = stdout();
    writeln!(out, "{table}")?;
    let lambda = if report.lambda == 1.0 { String::new() } else { format!(", λ {}", report.lambda) };
    writeln!(out, "method {}, weights {:?}{lambda}", report.method, report.weights)?;
    for (word, heads) in
        [("carried", &report.heads), ("averaged", &report.averaged_heads), ("dropped", &report.dropped_heads)]
    {
        if !heads.is_empty() {
            writeln!(out, "heads {word}: {}", heads.join(", "))?;
        }
    }
    let (n_clusters, n_shared) = report.clusters();
    if n_clusters > 0 {
        writeln!(out, "clusters with ranks of several adapters: {n_shared} of {n_clusters}")?;
    }
    for kept in report.agreement() {
        let adapter = recipe.adapters[kept.adapter].path.display();
        let (cosine, share) = (kept.cosine, 100.0 * kept.retained_energy);
        writeln!(out, "{adapter}: cosine {cosine:.3}, retained energy {share:.1} %")?;
    }
    writeln!(out, "distance to the weighted sum: {:.2e} of its norm", report.relative_distance())?;
    let memory =
        peak_memory_bytes().map_or_else(String::new, |b| format!(", peak memory {:.0} MB", b as f64 / 1e6));
    writeln!(out, "{} written in {secs:.2} s{memory}", place.display())?;
    Ok(())
}
