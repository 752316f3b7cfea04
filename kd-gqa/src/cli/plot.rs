//! Heat maps as SVG: how far apart the heads of each layer are. Fonts are the viewer's own.

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const INK: RGBColor = RGBColor(40, 44, 52);
/// Alike; what is far is white.
const NEAR: RGBColor = RGBColor(0, 114, 178);
const FONT: &str = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";

const CELL: u32 = 20;
const MARGIN: u32 = 30;
const COLUMNS: usize = 4;

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

/// Draws the distances `[n, n]` of the `n` heads of each layer, four layers in a row; the darker, the more alike, each layer relative to its farthest pair.
pub(super) fn heat_maps(layers: &[(usize, Vec<f64>)]) -> Result<String> {
    let largest = layers.iter().map(|layer| layer.0).max().unwrap_or(1) as u32;
    let side = MARGIN + CELL * largest + 14;
    let n_rows = layers.len().div_ceil(COLUMNS);
    let columns = COLUMNS.min(layers.len()).max(1);
    let mut svg = String::new();
    {
        let size = (columns as u32 * side.max(110), n_rows as u32 * side);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        for (i, ((n, values), part)) in layers.iter().zip(area.split_evenly((n_rows, columns))).enumerate() {
            heat_map(&part, i, *n, values)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

fn heat_map(area: &DrawingArea<SVGBackend<'_>, Shift>, layer: usize, n: usize, values: &[f64]) -> Result<()> {
    let (margin, cell) = (MARGIN as i32, CELL as i32);
    let text = |size: i32, pos| (FONT, size).into_font().color(&INK).pos(pos);
    let title = Text::new(format!("layer {layer}"), (6, 3), text(12, Pos::new(HPos::Left, VPos::Top)));
    area.draw(&title).map_err(failed)?;
    let farthest = values.iter().fold(0.0, |m: f64, v| m.max(*v));
    for i in 0..n {
        let middle = margin + i as i32 * cell + cell / 2;
        for place in [(middle, margin - 6), (margin - 8, middle)] {
            let label = Text::new(i.to_string(), place, text(9, Pos::new(HPos::Center, VPos::Center)));
            area.draw(&label).map_err(failed)?;
        }
        for j in 0..n {
            let (x, y) = (margin + j as i32 * cell, margin + i as i32 * cell);
            let near = if farthest > 0.0 { 1.0 - values[i * n + j] / farthest } else { 1.0 };
            let mix = |c: u8| (255.0 + near * (f64::from(c) - 255.0)).round() as u8;
            let color = RGBColor(mix(NEAR.0), mix(NEAR.1), mix(NEAR.2));
            area.draw(&Rectangle::new([(x, y), (x + cell - 1, y + cell - 1)], color.filled()))
                .map_err(failed)?;
        }
    }
    Ok(())
}
