//! The spectra of adapters as SVG.

use grouping_core::command::svg::{Chart, Mark, Series, charts};
use lego_merge::inspect::AdapterReport;

/// Draws the singular values of each adapter's modules, one plot an adapter, each module relative to its largest, with their median.
pub(super) fn spectra(adapters: &[AdapterReport]) -> anyhow::Result<String> {
    charts(&adapters.iter().enumerate().map(|(i, report)| spectrum(report, i)).collect::<Vec<_>>())
}

fn spectrum(report: &AdapterReport, color: usize) -> Chart {
    let shares: Vec<Vec<f64>> = report.modules.iter().map(|m| relative(&m.singular_values)).collect();
    let n = shares.iter().map(Vec::len).max().unwrap_or(1).max(2);
    let name = report.adapter.rsplit('/').next().unwrap_or_default();
    let title =
        format!("{name}: singular values of {} modules, relative to each one's largest", shares.len());
    let line = |mark, values: &[f64]| {
        let points = values.iter().enumerate().map(|(j, &v)| ((j + 1) as f64, v)).collect();
        Series { name: None, mark, color, points }
    };
    let medians = (0..n).map_while(|j| median(shares.iter().filter_map(|s| s.get(j).copied()).collect()));
    let medians: Vec<f64> = medians.collect();
    let mut series: Vec<Series> = shares.iter().map(|values| line(Mark::FaintCurve, values)).collect();
    series.push(line(Mark::Curve, &medians));
    Chart { title, x: 1.0..n as f64, y: 0.0..1.0, n_x_labels: n.min(16), series }
}

fn relative(values: &[f64]) -> Vec<f64> {
    let largest = values.first().copied().unwrap_or(0.0);
    values.iter().map(|v| if largest > 0.0 { v / largest } else { 0.0 }).collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
