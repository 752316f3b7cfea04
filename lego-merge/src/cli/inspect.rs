//! `lego-merge inspect`.

use std::io::{Write, stdout};
use std::path::PathBuf;

use grouping_core::command::table;
use grouping_core::files::output::{Existing, write_text};
use serde_json::json;

use super::plot;
use lego_merge::adapter::Adapter;
use lego_merge::inspect::{AdapterReport, ModuleClusters, spectra, unit_clusters};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Adapters: folders or files
    #[arg(required = true, value_name = "ADAPTER")]
    adapters: Vec<PathBuf>,
    /// Seed of the clustering
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Also draw the spectra into this SVG file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Replace the plot if it is there already
    #[arg(long)]
    force: bool,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let adapters = args.adapters.iter().map(Adapter::read).collect::<Result<Vec<_>, _>>()?;
    let reports = adapters.iter().map(spectra).collect::<Result<Vec<_>, _>>()?;
    let clusters = unit_clusters(&adapters, args.seed)?;
    if let Some(path) = &args.plot {
        write_text(path, Existing::replaced_if(args.force), &plot::spectra(&reports)?)?;
    }
    let mut out = stdout();
    if args.json {
        let value = json!({"event": "inspected", "adapters": reports, "clusters": clusters});
        return Ok(writeln!(out, "{value}")?);
    }
    for report in &reports {
        print_adapter(&mut out, report)?;
    }
    print_clusters(&mut out, &clusters)
}

fn print_adapter(out: &mut impl Write, report: &AdapterReport) -> anyhow::Result<()> {
    let root = if report.use_rslora { " (rsLoRA)" } else { "" };
    let task = report.task_type.as_deref().unwrap_or("no task type");
    writeln!(
        out,
        "{}: {}, r {}, α {}{root}, {task}",
        report.adapter, report.format, report.r, report.lora_alpha
    )?;
    if !report.heads.is_empty() {
        writeln!(out, "heads: {}", report.heads.join(", "))?;
    }
    for warning in &report.warnings {
        writeln!(out, "note: {warning}")?;
    }
    let mut table =
        table(["module", "kind", "type", "d_out × d_in", "rank", "scale", "norm", "singular values"]);
    for m in &report.modules {
        let values =
            m.singular_values.iter().take(8).map(|s| format!("{s:.3}")).collect::<Vec<_>>().join(" ");
        let more = if m.singular_values.len() > 8 { " …" } else { "" };
        table.add_row([
            m.module.clone(),
            [m.kind.to_string()]
                .into_iter()
                .chain(m.extras().map(Into::into))
                .collect::<Vec<_>>()
                .join(" + "),
            m.types.join("/"),
            format!("{} × {}", m.shape[0], m.shape[1]),
            m.rank.to_string(),
            format!("{:.4}", m.scale),
            format!("{:.4}", m.norm),
            values + more,
        ]);
    }
    writeln!(out, "{table}\n")?;
    Ok(())
}

pub(super) fn print_clusters(out: &mut impl Write, clusters: &[ModuleClusters]) -> anyhow::Result<()> {
    let mut table = table(["units of all adapters", "cluster sizes", "of several adapters", "inertia share"]);
    for module in clusters {
        let c = &module.clusters;
        let sizes = c.sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
        let share = format!("{} of {}", c.n_shared, c.sizes.len());
        table.add_row([module.module.clone(), sizes, share, format!("{:.3}", c.inertia_share)]);
    }
    writeln!(out, "{table}")?;
    Ok(())
}
