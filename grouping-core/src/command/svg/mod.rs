//! Plots as SVG: heat maps, and charts of curves, points and bars. Fonts are the viewer's own; the same values give the same bytes.

mod chart;
mod heat_map;

pub use chart::{Chart, Mark, Series, charts};
pub use heat_map::{Cells, HeatMap, Shade, heat_maps};

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::Pos;

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
