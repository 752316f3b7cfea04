//! `lego-merge merge`.

use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::Instant;

use comfy_table::{Table, presets};
use serde_json::json;

use super::console::{modules_bar, peak_memory_bytes, say};
use crate::adapter::Adapter;
use crate::merge::{MergeReport, MethodSpec, merge_to_folder};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Adapters: PEFT folders with adapter_config.json and adapter_model.safetensors
    #[arg(required = true, value_name = "ADAPTER")]
    adapters: Vec<PathBuf>,
    /// Folder to write
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    method: MethodSpec,
    /// Replace an adapter that is there already
    #[arg(long)]
    force: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let start = Instant::now();
    let config = args.method.config()?;
    if let Some(share) = args.method.density.filter(|share| *share >= 1.0) {
        say(format_args!("warning: --density {share}: nothing is pruned"));
    }
    let adapters = args.adapters.iter().map(Adapter::read).collect::<Result<Vec<_>, _>>()?;
    for adapter in &adapters {
        for warning in adapter.warnings() {
            say(format_args!("warning: {}: {warning}", adapter.path().display()));
        }
    }
    let mut names: Vec<&str> = adapters.iter().flat_map(|a| a.modules()).map(|m| m.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let bar = modules_bar(names.len());
    let report = merge_to_folder(&adapters, &config, &args.out, args.force, |_| bar.inc(1));
    bar.finish_and_clear();
    let report = report?;
    let secs = start.elapsed().as_secs_f64();
    if args.json { print_json(args, &report, secs) } else { print_summary(args, &report, secs) }
}

fn print_json(args: &Args, report: &MergeReport, secs: f64) -> anyhow::Result<()> {
    let mut value = json!(report);
    value["event"] = "merged".into();
    value["out"] = args.out.display().to_string().into();
    value["relative_distance"] = report.relative_distance().into();
    value["agreement"] = json!(report.agreement());
    value["wall_secs"] = secs.into();
    value["peak_memory_bytes"] = peak_memory_bytes().into();
    Ok(writeln!(stdout(), "{value}")?)
}

fn print_summary(args: &Args, report: &MergeReport, secs: f64) -> anyhow::Result<()> {
    let mut by_rank: BTreeMap<(usize, &[usize]), usize> = BTreeMap::new();
    for module in &report.modules {
        *by_rank.entry((module.rank, &module.source_ranks)).or_default() += 1;
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["modules", "source ranks", "rank"]);
    for ((rank, sources), count) in by_rank {
        let sources = sources.iter().map(usize::to_string).collect::<Vec<_>>().join(" + ");
        table.add_row([count.to_string(), sources, rank.to_string()]);
    }
    let mut out = stdout();
    writeln!(out, "{table}")?;
    let lambda = if report.lambda == 1.0 { String::new() } else { format!(", λ {}", report.lambda) };
    writeln!(out, "method {}, weights {:?}{lambda}", report.method, report.weights)?;
    if !report.heads.is_empty() {
        writeln!(out, "heads carried: {}", report.heads.join(", "))?;
    }
    let (n_clusters, n_shared) = report.clusters();
    if n_clusters > 0 {
        writeln!(out, "clusters with ranks of several adapters: {n_shared} of {n_clusters}")?;
    }
    for kept in report.agreement() {
        let adapter = args.adapters[kept.adapter].display();
        let (cosine, share) = (kept.cosine, 100.0 * kept.retained_energy);
        writeln!(out, "{adapter}: cosine {cosine:.3}, retained energy {share:.1} %")?;
    }
    writeln!(out, "distance to the weighted sum: {:.2e} of its norm", report.relative_distance())?;
    let memory =
        peak_memory_bytes().map_or_else(String::new, |b| format!(", peak memory {:.0} MB", b as f64 / 1e6));
    writeln!(out, "{} written in {secs:.2} s{memory}", args.out.display())?;
    Ok(())
}
