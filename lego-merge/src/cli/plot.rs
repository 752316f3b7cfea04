//! Plots as SVG: heat maps of pairs of adapters, and spectra. Fonts are the viewer's own.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use lego_merge::compare::PairTable;
use lego_merge::inspect::AdapterReport;

const INK: RGBColor = RGBColor(40, 44, 52);
const FAINT: RGBColor = RGBColor(222, 225, 230);
/// Ends of the scales; they stay apart in the usual forms of colour blindness (Okabe and Ito).
const HIGH: RGBColor = RGBColor(0, 114, 178);
const LOW: RGBColor = RGBColor(213, 94, 0);
const COLORS: [RGBColor; 4] = [HIGH, LOW, RGBColor(0, 158, 115), RGBColor(204, 121, 167)];
const FONT: &str = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// How values become colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shade {
    /// From −1 by white to 1.
    Signed,
    /// From 0 to 1, or to the greatest value beyond.
    Share,
}

/// One map: a value for each ordered pair.
pub(super) struct HeatMap<'a> {
    pub(super) title: &'a str,
    pub(super) values: &'a PairTable,
    pub(super) shade: Shade,
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

/// Draws maps of `n × n` pairs, two in a row.
pub(super) fn heat_maps(maps: &[HeatMap<'_>], n: usize) -> Result<String> {
    const CELL: u32 = 46;
    const MARGIN: u32 = 44;
    let side = MARGIN + CELL * n as u32 + 16;
    let width = side.max(260);
    let n_rows = (maps.len() as u32).div_ceil(2);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (2 * width, n_rows * (side + 8))).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        for (map, part) in maps.iter().zip(area.split_evenly((n_rows as usize, 2))) {
            heat_map(&part, map, (MARGIN as i32, CELL as i32), n)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

fn heat_map(area: &Area<'_>, map: &HeatMap<'_>, (margin, cell): (i32, i32), n: usize) -> Result<()> {
    let text = |size: i32, color: RGBColor, pos| (FONT, size).into_font().color(&color).pos(pos);
    let center = Pos::new(HPos::Center, VPos::Center);
    let write =
        |words: String, at, style: TextStyle<'_>| area.draw(&Text::new(words, at, style)).map_err(failed);
    write(map.title.into(), (8, 6), text(14, INK, Pos::new(HPos::Left, VPos::Top)))?;
    let known = map.values.iter().flatten().flatten();
    let greatest = known.fold(1.0, |m: f64, v| m.max(v.abs()));
    for i in 0..n {
        let middle = margin + i as i32 * cell + cell / 2;
        write((i + 1).to_string(), (middle, margin - 8), text(12, INK, center))?;
        write((i + 1).to_string(), (margin - 14, middle), text(12, INK, center))?;
        for j in 0..n {
            let (x, y) = (margin + j as i32 * cell, margin + i as i32 * cell);
            let value = map.values[i][j];
            let color = value.map_or(FAINT, |v| shade(v / greatest, map.shade));
            let corner = (x + cell - 2, y + cell - 2);
            area.draw(&Rectangle::new([(x, y), corner], color.filled())).map_err(failed)?;
            let words = value.map_or_else(|| "–".into(), |v| format!("{v:.2}"));
            let dark = value.is_some_and(|v| v.abs() / greatest > 0.6);
            let ink = if dark { WHITE } else { INK };
            write(words, (x + cell / 2, y + cell / 2), text(12, ink, center))?;
        }
    }
    Ok(())
}

/// White at 0, the end's colour at ±1.
fn shade(value: f64, shade: Shade) -> RGBColor {
    let end = if shade == Shade::Signed && value < 0.0 { LOW } else { HIGH };
    let t = value.abs().clamp(0.0, 1.0);
    let mix = |c: u8| (255.0 + t * (f64::from(c) - 255.0)).round() as u8;
    RGBColor(mix(end.0), mix(end.1), mix(end.2))
}

/// Draws the singular values of each adapter's modules, one plot an adapter, each module relative to its largest.
pub(super) fn spectra(adapters: &[AdapterReport]) -> Result<String> {
    const SIZE: (u32, u32) = (640, 260);
    let mut svg = String::new();
    {
        let size = (SIZE.0, SIZE.1 * adapters.len().max(1) as u32);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        for ((report, part), color) in
            adapters.iter().zip(area.split_evenly((adapters.len(), 1))).zip(COLORS.iter().cycle())
        {
            spectrum(&part, report, *color)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

fn spectrum(area: &Area<'_>, report: &AdapterReport, color: RGBColor) -> Result<()> {
    let shares: Vec<Vec<f64>> = report.modules.iter().map(|m| relative(&m.singular_values)).collect();
    let n = shares.iter().map(Vec::len).max().unwrap_or(1).max(2);
    let name = report.adapter.rsplit('/').next().unwrap_or_default();
    let title =
        format!("{name}: singular values of {} modules, relative to each one's largest", shares.len());
    let text = |size: i32| (FONT, size).into_font().color(&INK);
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .caption(title, text(14))
        .x_label_area_size(30)
        .y_label_area_size(44)
        .build_cartesian_2d(1.0..n as f64, 0.0..1.0)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(FAINT)
        .axis_style(FAINT)
        .label_style(text(12))
        .x_labels(n.min(16))
        .x_label_formatter(&|x| format!("{x:.0}"))
        .draw()
        .map_err(failed)?;
    let line =
        |values: &[f64]| values.iter().enumerate().map(|(j, &v)| ((j + 1) as f64, v)).collect::<Vec<_>>();
    for values in &shares {
        chart.draw_series(LineSeries::new(line(values), color.mix(0.25))).map_err(failed)?;
    }
    let medians = (0..n).map_while(|j| median(shares.iter().filter_map(|s| s.get(j).copied()).collect()));
    let medians: Vec<f64> = medians.collect();
    chart.draw_series(LineSeries::new(line(&medians), color.stroke_width(3))).map_err(failed)?;
    Ok(())
}

fn relative(values: &[f64]) -> Vec<f64> {
    let largest = values.first().copied().unwrap_or(0.0);
    values.iter().map(|v| if largest > 0.0 { v / largest } else { 0.0 }).collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
