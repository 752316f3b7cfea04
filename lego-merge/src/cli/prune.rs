//! `lego-merge prune`.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::Instant;

use grouping_core::command::table;
use grouping_core::process::peak_memory_bytes;
use serde_json::{Value, json};

use super::console::{plan, warn};
use super::output::OutputArgs;
use lego_merge::adapter::Adapter;
use lego_merge::merge::{MergeReport, ModuleReport, PruneSpec, merge_to};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Adapter: a PEFT folder, or a file of diffusers, kohya or PEFT
    #[arg(value_name = "ADAPTER")]
    adapter: PathBuf,
    #[command(flatten)]
    prune: PruneSpec,
    /// Folder to write (PEFT), or a file that ends with .safetensors
    #[arg(short, long, value_name = "PATH")]
    out: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let start = Instant::now();
    let output = args.output.output(&args.out);
    output.check()?;
    let adapter = Adapter::read(&args.adapter)?;
    warn(std::slice::from_ref(&adapter));
    let (adapters, config) = ([adapter], args.prune.config());
    let (plan, bar) = plan(&adapters, &config)?;
    let report = merge_to(&plan, &output, |_| bar.inc(1))?;
    bar.finish_and_clear();
    let secs = start.elapsed().as_secs_f64();
    if args.json { print_json(args, &report, secs) } else { print_table(args, &report, secs) }
}

/// `‖ΔW' − ΔW‖ / ‖ΔW‖`.
fn residual(module: &ModuleReport) -> f64 {
    if module.sum_norm > 0.0 { module.distance / module.sum_norm } else { 0.0 }
}

fn retained_energy(module: &ModuleReport) -> f64 {
    module.agreement.first().map_or(0.0, |kept| kept.retained_energy)
}

fn print_json(args: &Args, report: &MergeReport, secs: f64) -> anyhow::Result<()> {
    let of_module = |m: &ModuleReport| {
        json!({
            "module": m.module,
            "source_rank": m.source_ranks.first(),
            "rank": m.rank,
            "norm": m.sum_norm,
            "retained_energy": retained_energy(m),
            "residual": residual(m),
            "clusters": m.clusters,
        })
    };
    let value = json!({
        "event": "pruned",
        "adapter": args.adapter.display().to_string(),
        "out": args.out.display().to_string(),
        "method": report.method,
        "rank_rule": args.prune.rank,
        "modules": report.modules.iter().map(of_module).collect::<Vec<Value>>(),
        "heads": report.heads,
        "retained_energy": report.agreement().first().map(|kept| kept.retained_energy),
        "residual": report.relative_distance(),
        "wall_secs": secs,
        "peak_memory_bytes": peak_memory_bytes(),
    });
    Ok(writeln!(stdout(), "{value}")?)
}

fn print_table(args: &Args, report: &MergeReport, secs: f64) -> anyhow::Result<()> {
    let mut table = table(["module", "ranks", "retained energy", "residual"]);
    for module in &report.modules {
        let before = module.source_ranks.first().copied().unwrap_or_default();
        table.add_row([
            module.module.clone(),
            format!("{before} → {}", module.rank),
            format!("{:.1} %", 100.0 * retained_energy(module)),
            format!("{:.3}", residual(module)),
        ]);
    }
    let mut out = stdout();
    writeln!(out, "{table}")?;
    let before: usize = report.modules.iter().flat_map(|m| &m.source_ranks).sum();
    let after: usize = report.modules.iter().map(|m| m.rank).sum();
    let retained = report.agreement().first().map_or(0.0, |kept| 100.0 * kept.retained_energy);
    let residual = report.relative_distance();
    writeln!(out, "method {}, --rank {}: {after} of {before} ranks", report.method, args.prune.rank)?;
    writeln!(out, "retained energy {retained:.1} %, residual {residual:.3} of the norm")?;
    if !report.heads.is_empty() {
        writeln!(out, "heads carried: {}", report.heads.join(", "))?;
    }
    Ok(writeln!(out, "{} written in {secs:.2} s", args.out.display())?)
}
