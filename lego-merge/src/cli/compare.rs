//! `lego-merge compare`.

use std::io::{Write, stdout};
use std::path::PathBuf;

use anyhow::ensure;
use grouping_core::command::svg::{Cells, HeatMap, Shade, heat_maps};
use grouping_core::command::table;
use grouping_core::files::output::{Existing, write_text};
use serde_json::json;

use super::console::warn;
use lego_merge::adapter::Adapter;
use lego_merge::compare::{Comparison, PairTable, compare};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Adapters, at least two
    #[arg(required = true, value_name = "ADAPTER")]
    adapters: Vec<PathBuf>,
    /// Also draw heat maps of all pairs into this SVG file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Replace the plot if it is there already
    #[arg(long)]
    force: bool,
    /// Seed of the clustering
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Print everything as JSON, with each module's pairs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(
        args.adapters.len() > 1,
        "compare: expected at least two adapters, found {}",
        args.adapters.len()
    );
    let adapters = args.adapters.iter().map(Adapter::read).collect::<Result<Vec<_>, _>>()?;
    warn(&adapters);
    let comparison = compare(&adapters, args.seed)?;
    if let Some(path) = &args.plot {
        write_text(path, Existing::replaced_if(args.force), &plot(&comparison)?)?;
    }
    let mut out = stdout();
    if args.json {
        let mut value = json!(comparison);
        value["event"] = "compared".into();
        return Ok(writeln!(out, "{value}")?);
    }
    print(&mut out, &comparison)
}

fn plot(comparison: &Comparison) -> anyhow::Result<String> {
    let pairs = &comparison.overall;
    let map = |title: &str, values: &PairTable, shade| HeatMap {
        title: title.into(),
        values: values.clone(),
        shade,
    };
    let maps = [
        map("cosine of the updates", &pairs.cosine, Shade::Signed),
        map("overlap of column spaces", &pairs.column_overlap, Shade::Share),
        map("overlap of row spaces", &pairs.row_overlap, Shade::Share),
        map("interference (of column in row)", &pairs.interference, Shade::Share),
        map("sign conflict", &pairs.sign_conflict, Shade::Share),
    ];
    heat_maps(&maps, Cells::Numbered)
}

fn print(out: &mut impl Write, comparison: &Comparison) -> anyhow::Result<()> {
    for (i, adapter) in comparison.adapters.iter().enumerate() {
        writeln!(out, "{}: {adapter}", i + 1)?;
    }
    let mut table = table([
        "pair",
        "cosine",
        "column overlap, least angle",
        "row overlap, least angle",
        "interference →, ←",
        "sign conflict",
    ]);
    let pairs = &comparison.overall;
    let number = |v: Option<f64>| v.map_or_else(|| "–".to_string(), |v| format!("{v:.3}"));
    let angle = |v: Option<f64>| v.map_or_else(|| "–".to_string(), |v| format!("{v:.0}°"));
    let n = comparison.adapters.len();
    for (i, j) in (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))) {
        table.add_row([
            format!("{}, {}", i + 1, j + 1),
            number(pairs.cosine[i][j]),
            format!("{}, {}", number(pairs.column_overlap[i][j]), angle(pairs.column_angle_deg[i][j])),
            format!("{}, {}", number(pairs.row_overlap[i][j]), angle(pairs.row_angle_deg[i][j])),
            format!("{}, {}", number(pairs.interference[j][i]), number(pairs.interference[i][j])),
            number(pairs.sign_conflict[i][j]),
        ]);
    }
    writeln!(out, "{table}\n")?;
    super::inspect::print_clusters(out, &comparison.clusters)
}
