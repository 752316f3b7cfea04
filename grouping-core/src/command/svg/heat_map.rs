//! Heat maps of square tables: a value for each ordered pair.

use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Area, FAINT, HIGH, INK, LOW, drawing, failed, text, write};

/// How values become colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shade {
    /// From −1 by white to 1, or to the greatest magnitude beyond.
    Signed,
    /// From 0 to 1, or to the greatest value beyond.
    Share,
}

/// What a cell shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cells {
    /// Its colour and its value; rows are counted from 1.
    Numbered,
    /// Its colour alone, in smaller maps; rows are counted from 0.
    Plain,
    /// Its colour alone, in maps of many rows; every eighth is counted, from 0.
    Dense,
}

/// One map.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// Its title.
    pub title: String,
    /// `[n][n]`; a value that is not known is grey.
    pub values: Vec<Vec<Option<f64>>>,
    /// Their colours.
    pub shade: Shade,
}

/// Sizes and places in pixels.
struct Look {
    columns: usize,
    least_width: u32,
    cell: i32,
    /// Between two cells.
    gap: i32,
    /// Left of and above the cells.
    margin: i32,
    /// Right of and below them.
    border: i32,
    /// Below a map.
    under: u32,
    title: (i32, (i32, i32)),
    label: i32,
    /// Which rows have a label: each so-many-th.
    every: usize,
    /// How far labels stand above and left of the cells.
    apart: (i32, i32),
    /// The number of the first row.
    first: usize,
}

const NUMBERED: Look = Look {
    columns: 2,
    least_width: 260,
    cell: 46,
    gap: 2,
    margin: 44,
    border: 16,
    under: 8,
    title: (14, (8, 6)),
    label: 12,
    every: 1,
    apart: (8, 14),
    first: 1,
};

const PLAIN: Look = Look {
    columns: 4,
    least_width: 110,
    cell: 20,
    gap: 1,
    margin: 30,
    border: 14,
    under: 0,
    title: (12, (6, 3)),
    label: 9,
    every: 1,
    apart: (6, 8),
    first: 0,
};

const DENSE: Look = Look {
    columns: 1,
    least_width: 110,
    cell: 8,
    gap: 0,
    margin: 44,
    border: 16,
    under: 8,
    title: (14, (8, 6)),
    label: 9,
    every: 8,
    apart: (8, 12),
    first: 0,
};

impl Cells {
    fn look(self) -> &'static Look {
        match self {
            Self::Numbered => &NUMBERED,
            Self::Plain => &PLAIN,
            Self::Dense => &DENSE,
        }
    }
}

impl Look {
    /// Width and height of a map of `n` rows, without what lies below it.
    fn side(&self, n: usize) -> u32 {
        (self.margin + self.cell * n as i32 + self.border) as u32
    }
}

/// Width and height of a map alone.
pub(super) fn size(map: &HeatMap, cells: Cells) -> (u32, u32) {
    let look = cells.look();
    let side = look.side(map.values.len());
    (side.max(look.least_width), side + look.under)
}

/// Draws one map.
pub(super) fn draw(area: &Area<'_>, map: &HeatMap, cells: Cells) -> Result<()> {
    heat_map(area, map, cells, cells.look())
}

/// Draws maps side by side: two in a row with their values, four without, and one below another where they are dense.
///
/// ```
/// use grouping_core::command::svg::{Cells, HeatMap, Shade, heat_maps};
///
/// let values = vec![vec![Some(1.0), Some(-0.25)], vec![None, Some(1.0)]];
/// let map = HeatMap { title: "cosine".into(), values, shade: Shade::Signed };
/// let svg = heat_maps(&[map], Cells::Numbered)?;
/// assert!(svg.contains("cosine") && svg.contains("-0.25"));
/// # Ok::<(), anyhow::Error>(())
/// ```
///
/// # Errors
/// When the drawing fails.
pub fn heat_maps(maps: &[HeatMap], cells: Cells) -> Result<String> {
    let look = cells.look();
    let side = look.side(maps.iter().map(|map| map.values.len()).max().unwrap_or(1));
    let columns = look.columns.min(maps.len()).max(1);
    let n_rows = maps.len().div_ceil(look.columns);
    let size = (columns as u32 * side.max(look.least_width), n_rows as u32 * (side + look.under));
    drawing(size, |area| {
        let parts = area.split_evenly((n_rows, columns));
        maps.iter().zip(parts).try_for_each(|(map, part)| heat_map(&part, map, cells, look))
    })
}

fn heat_map(area: &Area<'_>, map: &HeatMap, cells: Cells, look: &Look) -> Result<()> {
    let center = Pos::new(HPos::Center, VPos::Center);
    let (size, at) = look.title;
    write(area, map.title.clone(), at, text(size, &INK), Pos::new(HPos::Left, VPos::Top))?;
    let known = map.values.iter().flatten().flatten();
    let greatest = known.fold(1.0, |m: f64, v| m.max(v.abs()));
    let place = |i: usize| look.margin + i as i32 * look.cell;
    for (i, row) in map.values.iter().enumerate() {
        let middle = place(i) + look.cell / 2;
        if i % look.every == 0 {
            for at in [(middle, look.margin - look.apart.0), (look.margin - look.apart.1, middle)] {
                write(area, (i + look.first).to_string(), at, text(look.label, &INK), center)?;
            }
        }
        for (j, value) in row.iter().enumerate() {
            let (x, y) = (place(j), place(i));
            let color = value.map_or(FAINT, |v| shade(v / greatest, map.shade));
            let corner = (x + look.cell - look.gap, y + look.cell - look.gap);
            area.draw(&Rectangle::new([(x, y), corner], color.filled())).map_err(failed)?;
            if cells == Cells::Numbered {
                let words = value.map_or_else(|| "–".into(), |v| format!("{v:.2}"));
                let dark = value.is_some_and(|v| v.abs() / greatest > 0.6);
                let ink = if dark { WHITE } else { INK };
                let middle = (x + look.cell / 2, y + look.cell / 2);
                write(area, words, middle, text(look.label, &ink), center)?;
            }
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
