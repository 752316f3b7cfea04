//! `iscs-lic compare`.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use grouping_core::command::svg::{Chart, Mark, Series, charts};
use grouping_core::command::{CellAlignment, answer, check_output, say, table};
use grouping_core::files::output::{Existing, write_text};
use iscs_lic::measure::curve::{Axis, Curve, Distance, Interpolation, Refused};
use iscs_lic::measure::results::{Metric, Results};
use serde_json::json;

/// Below it a mean over the common range says little.
const LEAST_OVERLAP: f64 = 0.75;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Results of the codec that the others are compared with, as `eval --json` and CompressAI's eval_model write them
    #[arg(value_name = "ANCHOR.json")]
    anchor: PathBuf,
    /// Results of the others
    #[arg(value_name = "FILE.json", required = true)]
    others: Vec<PathBuf>,
    /// What is compared at equal rate
    #[arg(long, value_enum, default_value_t = MetricName::Psnr)]
    metric: MetricName,
    /// Draw the curves, as SVG
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Replace a plot that exists
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum MetricName {
    Psnr,
    MsSsim,
}

/// One codec against the anchor, or why there is no number.
struct Compared<'a> {
    results: &'a Results,
    /// By each interpolation.
    distances: Result<Vec<Distances>, Refused>,
}

/// The two mean distances by one interpolation, each where its coordinate has a range in common.
struct Distances {
    by: Interpolation,
    rate: Result<Distance, Refused>,
    quality: Result<Distance, Refused>,
}

/// Exit status 1 where a mean distance is refused.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let metric = match args.metric {
        MetricName::Psnr => Metric::Psnr,
        MetricName::MsSsim => Metric::MsSsim,
    };
    let paths: Vec<&PathBuf> = std::iter::once(&args.anchor).chain(&args.others).collect();
    if let Some(path) = &args.plot {
        check_output(path, "svg", &paths)?;
    }
    let mut all = read(&paths, metric)?;
    let others = all.split_off(1);
    let anchor = &all[0];
    let compared: Vec<Compared<'_>> =
        others.iter().map(|results| Compared { results, distances: distances(results, anchor) }).collect();
    for Compared { results, distances } in &compared {
        // The ranges are those of the points, whatever the curve.
        if let Some(Distances { rate, quality, .. }) = distances.as_ref().ok().and_then(|all| all.first()) {
            let quality_name = format!("BD-{}", metric.label());
            warn(&results.name, "BD-rate", Axis::Quality, rate);
            warn(&results.name, &quality_name, Axis::Rate, quality);
        }
    }
    if let Some(path) = &args.plot {
        let all: Vec<&Results> = std::iter::once(anchor).chain(&others).collect();
        write_text(path, Existing::replaced_if(args.force), &plot(&all, metric)?)?;
    }
    let is_refused = compared.iter().any(|compared| match &compared.distances {
        Ok(all) => all.iter().any(|d| d.rate.is_err() || d.quality.is_err()),
        Err(_) => true,
    });
    let printed = if args.json {
        print_json(anchor, metric, &compared)
    } else {
        print_table(anchor, metric, &compared)
    };
    answer(printed, is_refused)
}

/// Results of different files; those of one name are told apart by their files.
fn read(paths: &[&PathBuf], metric: Metric) -> anyhow::Result<Vec<Results>> {
    let place = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    for (at, path) in paths.iter().enumerate() {
        let is_twice = paths[..at].iter().any(|other| place(other) == place(path));
        anyhow::ensure!(
            !is_twice,
            "{}: expected results of another codec, found the same file twice",
            path.display()
        );
    }
    let mut all = paths.iter().map(|path| Results::read(path, metric)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = all.iter().map(|results| results.name.clone()).collect();
    for (results, path) in all.iter_mut().zip(paths) {
        if names.iter().filter(|name| **name == results.name).count() > 1 {
            results.name = format!("{} ({})", results.name, path.display());
        }
    }
    Ok(all)
}

/// Warns of a mean over a small part of what both curves span, and of one that is refused.
fn warn(name: &str, what: &str, axis: Axis, distance: &Result<Distance, Refused>) {
    match distance {
        Ok(Distance { overlap, .. }) if *overlap < LEAST_OVERLAP => {
            let percent = overlap * 100.0;
            say(format_args!(
                "warning: {name}: only {percent:.0} % of the {axis} are common, {what} says little"
            ));
        }
        Ok(_) => {}
        Err(refused) => say(format_args!("warning: {name}: no {what}: {refused}")),
    }
}

fn distances(own: &Results, anchor: &Results) -> Result<Vec<Distances>, Refused> {
    let [own, anchor] = [own, anchor].map(|results| Curve::new(&results.points));
    let (own, anchor) = (own?, anchor?);
    let by = |by| Distances { by, rate: own.bd_rate(&anchor, by), quality: own.bd_psnr(&anchor, by) };
    Ok(Interpolation::ALL.into_iter().map(by).collect())
}

fn plot(all: &[&Results], metric: Metric) -> anyhow::Result<String> {
    let points = || all.iter().flat_map(|results| &results.points);
    let span = |value: fn(&(f64, f64)) -> f64| {
        let values = || points().map(value).filter(|v| v.is_finite());
        let (least, greatest) =
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        anyhow::ensure!(
            (greatest - least).is_finite(),
            "expected points of finite rates and qualities to draw, found none"
        );
        let margin = ((greatest - least) * 0.05).max(1e-3);
        Ok(least - margin..greatest + margin)
    };
    let curve = |(color, results): (usize, &&Results)| {
        let mut points = results.points.clone();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let name = Some(results.name.clone());
        let curve = Series { name, mark: Mark::Curve, color, points: points.clone() };
        [curve, Series { name: None, mark: Mark::Points, color, points }]
    };
    let title = format!("{} over bits a pixel", metric.label());
    let series = all.iter().enumerate().flat_map(curve).collect();
    charts(&[Chart { title, x: span(|p| p.0)?, y: span(|p| p.1)?, n_x_labels: 8, series }])
}

fn print_json(anchor: &Results, metric: Metric, compared: &[Compared<'_>]) -> anyhow::Result<()> {
    let of = |Compared { results, distances }: &Compared<'_>| match distances {
        Ok(all) => {
            let one = |Distances { by, rate, quality }: &Distances| {
                let value = |d: &Result<Distance, Refused>| d.as_ref().ok().map(|d| d.value);
                let overlap = |d: &Result<Distance, Refused>| d.as_ref().map_or(0.0, |d| d.overlap);
                let value = json!({
                    "bd_rate_percent": value(rate), "quality_overlap": overlap(rate),
                    "bd_quality_db": value(quality), "rate_overlap": overlap(quality),
                });
                (by.name().to_owned(), value)
            };
            json!({"name": results.name, "distances": all.iter().map(one).collect::<serde_json::Map<_, _>>()})
        }
        Err(refused) => json!({"name": results.name, "refused": refused.to_string()}),
    };
    let compared: Vec<_> = compared.iter().map(of).collect();
    Ok(writeln!(
        stdout(),
        "{}",
        json!({"anchor": anchor.name, "metric": metric.label(), "compared": compared})
    )?)
}

fn print_table(anchor: &Results, metric: Metric, compared: &[Compared<'_>]) -> anyhow::Result<()> {
    let header = [
        format!("against {}", anchor.name),
        "curve".into(),
        "BD-rate, %".into(),
        format!("BD-{}", metric.label()),
        "common qualities".into(),
        "rates".into(),
    ];
    let mut table = table(header);
    for Compared { results, distances } in compared {
        match distances {
            Ok(all) => {
                for Distances { by, rate, quality } in all {
                    let percent = |d: &Distance| format!("{:.0} %", d.overlap * 100.0);
                    let shown = |d: &Result<Distance, Refused>, show: &dyn Fn(&Distance) -> String| {
                        d.as_ref().map_or_else(|_| "–".to_owned(), show)
                    };
                    table.add_row([
                        results.name.clone(),
                        by.name().into(),
                        shown(rate, &|d| format!("{:+.2}", d.value)),
                        shown(quality, &|d| format!("{:+.3}", d.value)),
                        shown(rate, &percent),
                        shown(quality, &percent),
                    ]);
                }
            }
            Err(refused) => {
                table.add_row([results.name.clone(), format!("refused: {refused}")]);
            }
        }
    }
    for column in 2..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    Ok(writeln!(stdout(), "{table}")?)
}
