//! `iscs-lic compare`.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use grouping_core::command::svg::{Chart, Mark, Series, charts};
use grouping_core::command::{CellAlignment, say, table};
use grouping_core::files::output::{Existing, write_text};
use iscs_lic::measure::curve::{Curve, Distance, Interpolation, Refused};
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
    /// BD-rate and BD-PSNR by each interpolation.
    distances: Result<Vec<(Interpolation, Distance, Distance)>, Refused>,
}

/// Exit status 1 where a pair has no mean distance.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let metric = match args.metric {
        MetricName::Psnr => Metric::Psnr,
        MetricName::MsSsim => Metric::MsSsim,
    };
    if let Some(path) = &args.plot {
        let inputs: Vec<&PathBuf> = std::iter::once(&args.anchor).chain(&args.others).collect();
        super::check_output(path, "svg", &inputs)?;
    }
    let read = |path: &PathBuf| Results::read(path, metric);
    let anchor = read(&args.anchor)?;
    let others = args.others.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let compared: Vec<Compared<'_>> =
        others.iter().map(|results| Compared { results, distances: distances(results, &anchor) }).collect();
    for Compared { results, distances } in &compared {
        let overlap = distances
            .as_ref()
            .map_or(1.0, |all| all.iter().fold(1.0, |least: f64, (_, rate, _)| least.min(rate.overlap)));
        if overlap < LEAST_OVERLAP {
            let percent = overlap * 100.0;
            say(format_args!(
                "warning: {}: only {percent:.0} % of the qualities are common, the mean says little",
                results.name
            ));
        }
    }
    if let Some(path) = &args.plot {
        let all: Vec<&Results> = std::iter::once(&anchor).chain(&others).collect();
        write_text(path, Existing::replaced_if(args.force), &plot(&all, metric)?)?;
    }
    let is_refused = compared.iter().any(|compared| compared.distances.is_err());
    let printed = if args.json {
        print_json(&anchor, metric, &compared)
    } else {
        print_table(&anchor, metric, &compared)
    };
    super::answer(printed, is_refused)
}

fn distances(own: &Results, anchor: &Results) -> Result<Vec<(Interpolation, Distance, Distance)>, Refused> {
    let [own, anchor] = [own, anchor].map(|results| Curve::new(&results.points));
    let (own, anchor) = (own?, anchor?);
    let by = |by| Ok((by, own.bd_rate(&anchor, by)?, own.bd_psnr(&anchor, by)?));
    Interpolation::ALL.into_iter().map(by).collect()
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
            let one = |(by, rate, quality): &(Interpolation, Distance, Distance)| {
                let value = json!({"bd_rate_percent": rate.value, "bd_quality_db": quality.value, "overlap": rate.overlap});
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
        "common".into(),
    ];
    let mut table = table(header);
    for Compared { results, distances } in compared {
        match distances {
            Ok(all) => {
                for (by, rate, quality) in all {
                    table.add_row([
                        results.name.clone(),
                        by.name().into(),
                        format!("{:+.2}", rate.value),
                        format!("{:+.3}", quality.value),
                        format!("{:.0} %", rate.overlap * 100.0),
                    ]);
                }
            }
            Err(refused) => {
                table.add_row([results.name.clone(), format!("refused: {refused}")]);
            }
        }
    }
    for column in 2..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    Ok(writeln!(stdout(), "{table}")?)
}
