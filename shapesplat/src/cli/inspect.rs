//! `shapesplat inspect`.

use std::io::{Write, stdout};
use std::path::PathBuf;

use grouping_core::command::svg::{Chart, Mark, Series, charts};
use grouping_core::command::{CellAlignment, check_output, say, table};
use grouping_core::files::output::{Existing, write_text};
use serde_json::{Value, json};
use shapesplat::format::{self, Loaded};
use shapesplat::splats::Bad;
use shapesplat::summary::{Column, N_BINS, Summary, summarise};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A splat file of any format, told by its content
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Draw histograms of alphas, scales and colours
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Replace a plot that exists
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let existing = Existing::replaced_if(args.force);
    if let Some(plot) = &args.plot {
        check_output(plot, "svg", &[&args.file])?;
        existing.check(plot)?;
    }
    let loaded = format::load(&args.file, Bad::Keep)?;
    let summary = summarise(&loaded.splats);
    if let Some(plot) = &args.plot {
        write_text(plot, existing, &charts(&histograms(&summary))?)?;
    }
    for note in &loaded.notes {
        say(format_args!("note: {}: not shown: {note}", args.file.display()));
    }
    if args.json {
        return Ok(writeln!(stdout(), "{}", as_json(args, &loaded, &summary)?)?);
    }
    print(&loaded, &summary)
}

fn as_json(args: &Args, loaded: &Loaded, summary: &Summary) -> anyhow::Result<Value> {
    let of =
        |of: fn(&Column) -> Value| summary.columns.iter().map(|(_, column)| of(column)).collect::<Vec<_>>();
    let names: Vec<&String> = summary.columns.iter().map(|(name, _)| name).collect();
    let data = json!({
        "min": of(|column| json!(column.min)),
        "max": of(|column| json!(column.max)),
        "median": of(|column| json!(column.median)),
        "mean": of(|column| json!(column.mean)),
        "stdDev": of(|column| json!(column.std_dev)),
        "nanCount": of(|column| json!(column.n_nan)),
        "infCount": of(|column| json!(column.n_infinite)),
        "histogram": of(|column| json!(column.histogram)),
    });
    let mut value = serde_json::to_value(summary)?;
    value["file"] = json!(args.file);
    value["format"] = json!(loaded.format.name());
    value["numGaussians"] = json!(summary.count);
    let elements = loaded.splats.elements.iter();
    let elements =
        elements.map(|it| json!({"name": it.name(), "rows": it.len(), "properties": it.properties()}));
    value["elements"] = elements.collect();
    value["notes"] = json!(loaded.notes);
    value["stats"] = json!([{"lod": 0, "numGaussians": summary.count, "columns": names, "data": data}]);
    Ok(value)
}

fn print(loaded: &Loaded, summary: &Summary) -> anyhow::Result<()> {
    let mut lines = vec![
        format!("format      {}", loaded.format.name()),
        format!("Gaussians   {}", summary.count),
        format!("SH degree   {}", summary.degree),
    ];
    if let Some(bounds) = summary.bounds {
        let corner = |corner: [f64; 3]| corner.map(shown).join(" ");
        lines.push(format!("bounds      {} to {}", corner(bounds.min), corner(bounds.max)));
    }
    if let Some(antialiased) = summary.antialiased {
        lines.push(format!("antialiased {}", if antialiased { "yes" } else { "no" }));
    }
    lines.extend(summary.comments.iter().map(|comment| format!("comment     {comment}")));
    let elements = loaded.splats.elements.iter();
    lines.extend(elements.map(|element| format!("element     {} ({} rows)", element.name(), element.len())));
    writeln!(stdout(), "{}\n", lines.join("\n"))?;
    let mut table = table(["column", "least", "median", "mean", "greatest", "NaN", "infinite", "histogram"]);
    // Those of higher degrees lie alike; what is wrong with one is still shown.
    let is_shown = |(name, column): &&(String, Column)| {
        !name.starts_with("f_rest_") || column.n_nan + column.n_infinite > 0
    };
    for (name, column) in summary.columns.iter().filter(is_shown) {
        let value = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), shown);
        let counts = [column.n_nan, column.n_infinite].map(|n| n.to_string());
        let [nan, infinite] = counts;
        table.add_row([
            name.clone(),
            value(column.min),
            value(column.median),
            value(column.mean),
            value(column.max),
            nan,
            infinite,
            bars(&column.histogram),
        ]);
    }
    for column in table.column_iter_mut().skip(1).take(6) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    Ok(writeln!(stdout(), "{table}")?)
}

/// Five digits.
fn shown(value: f64) -> String {
    if value == 0.0 || (1e-3..1e5).contains(&value.abs()) {
        let digits =
            if value == 0.0 { 0 } else { (4 - value.abs().log10().floor() as i32).clamp(0, 7) as usize };
        format!("{value:.digits$}")
    } else {
        format!("{value:.3e}")
    }
}

/// A histogram in eighths of a line.
fn bars(histogram: &[u64; N_BINS]) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = histogram.iter().copied().max().unwrap_or(0).max(1);
    // What is there is seen.
    histogram.iter().map(|&n| BARS[(n * 8).div_ceil(most) as usize]).collect()
}

/// Alphas and colours in hundredths, scales by their powers of ten.
fn histograms(summary: &Summary) -> Vec<Chart> {
    let chart = |title: &str, series: Vec<Series>| {
        let points = || series.iter().flat_map(|series| &series.points);
        let x = points().fold([f64::INFINITY, f64::NEG_INFINITY], |[min, max], point| {
            [min.min(point.0), max.max(point.0)]
        });
        let x = if x[0] < x[1] { x } else { [x[0].min(0.0), x[0].max(1.0)] };
        let x = x.map(|edge| if edge.is_finite() { edge } else { 0.0 });
        let margin = ((x[1] - x[0]) / 20.0).max(1e-3);
        let y = points().fold(1.0, |most: f64, point| most.max(point.1));
        Chart {
            title: title.into(),
            x: x[0] - margin..x[1] + margin,
            y: 0.0..y * 1.05,
            n_x_labels: 10,
            series,
        }
    };
    let alphas = summary.alphas.iter().enumerate().map(|(i, &n)| ((i as f64 + 0.5) * 100.0 / 64.0, n as f64));
    let alphas = Series { name: None, mark: Mark::Bars, color: 0, points: alphas.collect() };
    let of = |names: [(&str, &str); 3], shown: fn(f64) -> f64| {
        let series = names.into_iter().enumerate().filter_map(|(color, (column, name))| {
            let (_, column) = summary.columns.iter().find(|(other, _)| other == column)?;
            let [min, max] = column.range?;
            let at = |i: usize| shown(min + (max - min) * (i as f64 + 0.5) / N_BINS as f64);
            let points = column.histogram.iter().enumerate().map(|(i, &n)| (at(i), n as f64)).collect();
            Some(Series { name: Some(name.into()), mark: Mark::Curve, color, points })
        });
        series.collect()
    };
    let scales =
        of([("scale_0", "first axis"), ("scale_1", "second axis"), ("scale_2", "third axis")], |log| {
            log * std::f64::consts::LOG10_E
        });
    let colours = of([("f_dc_2", "blue"), ("f_dc_0", "red"), ("f_dc_1", "green")], |dc| {
        100.0 * (0.5 + f64::from(shapesplat::splats::SH_C0) * dc)
    });
    vec![
        chart("alpha in hundredths, Gaussians", vec![alphas]),
        chart("scale as a power of ten, Gaussians", scales),
        chart("colour in hundredths, Gaussians", colours),
    ]
}
