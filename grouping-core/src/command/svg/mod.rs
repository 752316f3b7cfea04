//! Plots as SVG: heat maps, charts of curves, points and bars, and several of both in one drawing. Fonts are the viewer's own; the same values give the same bytes.

mod chart;
mod heat_map;

pub use chart::{Chart, Mark, Series, charts};
pub use heat_map::{Cells, HeatMap, Shade, heat_maps};

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::Pos;

/// One part of a drawing.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Panel<'a> {
    /// A chart.
    Chart(&'a Chart),
    /// A heat map.
    HeatMap(&'a HeatMap, Cells),
}

/// Draws charts and heat maps below each other, all as wide as the widest.
///
/// ```
/// use grouping_core::command::svg::{Cells, Chart, HeatMap, Mark, Panel, Series, Shade, panels};
///
/// let points = vec![(0.0, 3.0), (1.0, 1.0)];
/// let series = vec![Series { name: None, mark: Mark::Points, color: 0, points }];
/// let chart = Chart { title: "scores".into(), x: 0.0..2.0, y: 0.0..4.0, n_x_labels: 2, series };
/// let values = vec![vec![Some(1.0), Some(-0.25)], vec![Some(-0.25), Some(1.0)]];
/// let map = HeatMap { title: "correlations".into(), values, shade: Shade::Signed };
/// let svg = panels(&[Panel::Chart(&chart), Panel::HeatMap(&map, Cells::Dense)])?;
/// assert!(svg.contains("scores") && svg.contains("correlations"));
/// # Ok::<(), anyhow::Error>(())
/// ```
///
/// # Errors
/// When the drawing fails, as for an empty range.
pub fn panels(panels: &[Panel<'_>]) -> Result<String> {
    let size = |panel: &Panel<'_>| match panel {
        Panel::Chart(_) => chart::SIZE,
        Panel::HeatMap(map, cells) => heat_map::size(map, *cells),
    };
    let width = panels.iter().map(|panel| size(panel).0).max().unwrap_or(1);
    let height = panels.iter().map(|panel| size(panel).1).sum::<u32>().max(1);
    drawing((width, height), |area| {
        let mut rest = area.clone();
        for panel in panels {
            let (part, below) = rest.split_vertically(size(panel).1);
            rest = below;
            match panel {
                Panel::Chart(chart) => chart::draw(&part, chart)?,
                Panel::HeatMap(map, cells) => heat_map::draw(&part, map, *cells)?,
            }
        }
        Ok(())
    })
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const INK: RGBColor = RGBColor(40, 44, 52);
const FAINT: RGBColor = RGBColor(222, 225, 230);
/// Ends of scales, and the first colours of series; they stay apart in the usual forms of colour blindness (Okabe and Ito).
const HIGH: RGBColor = RGBColor(0, 114, 178);
const LOW: RGBColor = RGBColor(213, 94, 0);
const COLORS: [RGBColor; 4] = [HIGH, LOW, RGBColor(0, 158, 115), RGBColor(204, 121, 167)];
const FONT: &str = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";

/// Draws on a white ground of `size` pixels by `draw`.
fn drawing(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        draw(&area)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

fn text(size: i32, color: &RGBColor) -> TextStyle<'static> {
    (FONT, size).into_font().color(color)
}

fn write(area: &Area<'_>, words: String, at: (i32, i32), style: TextStyle<'_>, pos: Pos) -> Result<()> {
    area.draw(&Text::new(words, at, style.pos(pos))).map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}
