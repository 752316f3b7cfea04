//! What `iscs-lic analyze` draws of channels: scores by rank, correlations in their order, and an ablation over the scores.

use std::ops::Range;

use grouping_core::command::svg::{Cells, Chart, HeatMap, Mark, Panel, Series, Shade, panels};
use iscs_lic::channels::{Profile, rank_by_score, spearman};

use super::analyze::{Ablated, Found};

/// Rows of a map at most; more channels share cells.
const MOST_ROWS: usize = 80;

/// The drawing.
pub(super) fn plot(found: &Found) -> anyhow::Result<String> {
    let scores = by_rank(found);
    let map = correlations(&found.profile);
    let scatter = found.ablated.as_ref().map(|ablated| scatter(found, ablated));
    let mut parts = vec![Panel::Chart(&scores), Panel::HeatMap(&map, Cells::Dense)];
    parts.extend(scatter.as_ref().map(Panel::Chart));
    panels(&parts)
}

fn points(name: &str, color: usize, points: Vec<(f64, f64)>) -> Series {
    Series { name: Some(name.into()), mark: Mark::Points, color, points }
}

/// From the least to the greatest value, with a margin.
fn span(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (least, greatest) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    let margin = (greatest - least) * 0.05;
    // Equal values have no span of their own.
    let margin = if margin > 0.0 { margin } else { 0.5f64.max(greatest.abs() * 0.5) };
    least - margin..greatest + margin
}

/// Scores, the greatest first.
fn by_rank(Found { profile, preset, core, .. }: &Found) -> Chart {
    let ranked = rank_by_score(&profile.scores);
    let all: Vec<(f64, f64)> =
        ranked.iter().enumerate().map(|(rank, &channel)| (rank as f64, profile.scores[channel])).collect();
    let (first, rest) = all.split_at(profile.n_core);
    Chart {
        title: format!("{preset}: score by rank, core of {} ({core})", profile.n_core),
        x: span(all.iter().map(|point| point.0)),
        y: span(all.iter().map(|point| point.1)),
        n_x_labels: 9,
        series: vec![points("core", 0, first.to_vec()), points("auxiliary", 1, rest.to_vec())],
    }
}

/// Correlations of kernels, in the order of the channels; where several share a cell, that of the greatest magnitude.
fn correlations(Profile { correlations, order, .. }: &Profile) -> HeatMap {
    let m = order.len();
    let block = m.div_ceil(MOST_ROWS).max(1);
    let greatest = |rows: &[usize], columns: &[usize]| {
        let pairs = rows.iter().flat_map(|&i| columns.iter().map(move |&j| (i, j)));
        // In a cell of several channels, their correlation with themselves says nothing.
        let values = pairs.filter(|(i, j)| block == 1 || i != j).map(|(i, j)| correlations.at(i, j));
        values.filter(|r| !r.is_nan()).reduce(|a, b| if b.abs() > a.abs() { b } else { a })
    };
    let values: Vec<Vec<Option<f64>>> = order
        .chunks(block)
        .map(|rows| order.chunks(block).map(|columns| greatest(rows, columns)).collect())
        .collect();
    let of = if block == 1 { String::new() } else { format!(", the greatest of {block}×{block}") };
    HeatMap { title: format!("correlations of kernels, in order{of}"), values, shade: Shade::Signed }
}

/// The growth of the error over the score, a dot a channel; growths that are not above zero stand at the least of those that are.
fn scatter(Found { profile, preset, .. }: &Found, Ablated { ablation, .. }: &Ablated) -> Chart {
    let least =
        ablation.delta_mse.iter().copied().filter(|growth| *growth > 0.0).fold(f64::INFINITY, f64::min);
    let least = if least.is_finite() { least } else { 1.0 };
    let heights = ablation.delta_mse.iter().map(|growth| growth.max(least).log10());
    let all: Vec<(f64, f64)> = profile.scores.iter().copied().zip(heights).collect();
    let is_core = |channel: usize| profile.order[..profile.n_core].contains(&channel);
    let part = |wants_core: bool| -> Vec<(f64, f64)> {
        all.iter()
            .enumerate()
            .filter(|(channel, _)| is_core(*channel) == wants_core)
            .map(|(_, p)| *p)
            .collect()
    };
    let rho = spearman(&profile.scores, &ablation.delta_mse);
    let rho = rho.map_or("no ρ: one of them is constant".into(), |rho| format!("Spearman's ρ = {rho:.3}"));
    Chart {
        title: format!("log₁₀ of ΔMSE without a channel, over {preset}: {rho}"),
        x: span(all.iter().map(|point| point.0)),
        y: span(all.iter().map(|point| point.1)),
        n_x_labels: 9,
        series: vec![points("core", 0, part(true)), points("auxiliary", 1, part(false))],
    }
}
