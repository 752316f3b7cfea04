//! Charts of curves, points and bars over two axes of numbers.

use std::ops::Range;

use anyhow::Result;
use plotters::prelude::*;

use super::{Area, COLORS, FAINT, INK, drawing, failed, text};

/// Width and height of a chart in pixels.
pub(super) const SIZE: (u32, u32) = (640, 260);

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mark {
    /// A strong curve through the points.
    Curve,
    /// A thin, light curve, one of many.
    FaintCurve,
    /// A dot for each point.
    Points,
    /// A bar from zero to each point.
    Bars,
}

/// Points of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name in the legend; without one it has no entry there.
    pub name: Option<String>,
    /// How it is drawn.
    pub mark: Mark,
    /// Its colour in the palette, counted round; as many series as wanted may share one.
    pub color: usize,
    /// `(x, y)`.
    pub points: Vec<(f64, f64)>,
}

/// A chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Its title.
    pub title: String,
    /// The range of x.
    pub x: Range<f64>,
    /// The range of y.
    pub y: Range<f64>,
    /// About how many numbers stand along x.
    pub n_x_labels: usize,
    /// What is drawn, the last on top.
    pub series: Vec<Series>,
}

/// Draws charts below each other.
///
/// ```
/// use grouping_core::command::svg::{Chart, Mark, Series, charts};
///
/// let series = |mark, name: &str, points| Series { name: Some(name.into()), mark, color: 0, points };
/// let chart = Chart {
///     title: "rate and distortion".into(),
///     x: 0.0..3.0,
///     y: 0.0..40.0,
///     n_x_labels: 4,
///     series: vec![
///         series(Mark::Curve, "ours", vec![(0.5, 30.0), (1.0, 33.0)]),
///         series(Mark::Points, "theirs", vec![(0.6, 29.0)]),
///         series(Mark::Bars, "share", vec![(2.0, 10.0)]),
///     ],
/// };
/// let svg = charts(&[chart])?;
/// assert!(svg.contains("rate and distortion") && svg.contains("theirs"));
/// # Ok::<(), anyhow::Error>(())
/// ```
///
/// # Errors
/// When the drawing fails, as for an empty range.
pub fn charts(charts: &[Chart]) -> Result<String> {
    let size = (SIZE.0, SIZE.1 * charts.len().max(1) as u32);
    drawing(size, |area| {
        charts
            .iter()
            .zip(area.split_evenly((charts.len(), 1)))
            .try_for_each(|(chart, part)| draw(&part, chart))
    })
}

pub(super) fn draw(area: &Area<'_>, chart: &Chart) -> Result<()> {
    let decimals = decimals(&chart.x, chart.n_x_labels);
    let mut plot = ChartBuilder::on(area)
        .margin(10)
        .caption(&chart.title, text(14, &INK))
        .x_label_area_size(30)
        .y_label_area_size(44)
        .build_cartesian_2d(chart.x.clone(), chart.y.clone())
        .map_err(failed)?;
    plot.configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(FAINT)
        .axis_style(FAINT)
        .label_style(text(12, &INK))
        .x_labels(chart.n_x_labels)
        .x_label_formatter(&|x| format!("{x:.decimals$}"))
        .draw()
        .map_err(failed)?;
    for series in &chart.series {
        let color = COLORS[series.color % COLORS.len()];
        let points = series.points.iter().copied();
        let drawn = match series.mark {
            Mark::Curve => plot.draw_series(LineSeries::new(points, color.stroke_width(3))),
            Mark::FaintCurve => plot.draw_series(LineSeries::new(points, color.mix(0.25))),
            Mark::Points => plot.draw_series(points.map(|at| Circle::new(at, 3, color.filled()))),
            Mark::Bars => {
                let half = bar_width(&series.points, &chart.x) / 2.0;
                let bar = |(x, y)| Rectangle::new([(x - half, 0.0), (x + half, y)], color.filled());
                plot.draw_series(points.map(bar))
            }
        };
        let drawn = drawn.map_err(failed)?;
        if let Some(name) = &series.name {
            let swatch = move |(x, y)| Rectangle::new([(x, y - 4), (x + 10, y + 4)], color.filled());
            drawn.label(name).legend(swatch);
        }
    }
    if chart.series.iter().any(|series| series.name.is_some()) {
        let mut labels = plot.configure_series_labels();
        labels.label_font(text(12, &INK)).background_style(WHITE.mix(0.8)).draw().map_err(failed)?;
    }
    Ok(())
}

/// Decimals that tell apart about `n` numbers along `range`.
fn decimals(range: &Range<f64>, n: usize) -> usize {
    let step = (range.end - range.start) / n.max(1) as f64;
    (0..9).find(|&decimals| step * 10_f64.powi(decimals) >= 1.0 - 1e-9).unwrap_or(9) as usize
}

/// Four fifths of the least distance between two bars, or a tenth of the range where there is one bar.
fn bar_width(points: &[(f64, f64)], range: &Range<f64>) -> f64 {
    let mut xs: Vec<f64> = points.iter().map(|point| point.0).collect();
    xs.sort_by(f64::total_cmp);
    let apart = xs.windows(2).map(|pair| pair[1] - pair[0]).filter(|apart| *apart > 0.0);
    apart.reduce(f64::min).map_or((range.end - range.start) / 10.0, |apart| 0.8 * apart)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_along_x_have_the_decimals_that_tell_them_apart() {
        for (end, n, expected) in
            [(8.0, 8, 0), (3.0, 4, 1), (1.0, 10, 1), (0.9, 10, 2), (2e-3, 5, 4), (200.0, 7, 0)]
        {
            assert_eq!(decimals(&(0.0..end), n), expected, "{n} numbers up to {end}");
        }
        let points = vec![(0.25, 100.0), (0.75, 200.0)];
        let series = Series { name: None, mark: Mark::Curve, color: 0, points };
        let chart =
            Chart { title: "rate".into(), x: 0.0..1.0, y: 0.0..300.0, n_x_labels: 5, series: vec![series] };
        let svg = charts(&[chart]).expect("a drawing");
        assert!(svg.contains("0.5"), "numbers between 0 and 1 are shown as such: {svg}");
    }

    #[test]
    fn bars_leave_a_gap_and_one_alone_is_narrow() {
        assert_eq!(bar_width(&[(3.0, 1.0), (1.0, 1.0), (1.5, 2.0)], &(0.0..4.0)), 0.4, "the closest pair");
        assert_eq!(bar_width(&[(3.0, 1.0)], &(0.0..4.0)), 0.4, "a tenth of the range");
    }
}
