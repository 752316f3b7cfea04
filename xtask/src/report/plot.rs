//! Plots as SVG: grouped horizontal bars, and lines with the spread over seeds. Fonts are the viewer's own.

use anyhow::{Context, Result, ensure};
use indexmap::{IndexMap, IndexSet};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::experiment::metrics::Record;
use crate::experiment::select::{Selection, mean, standard_deviation};
use crate::experiment::spec::{Plot, PlotKind, Value};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Colours that stay apart in the usual forms of colour blindness (Okabe and Ito).
const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
];
const INK: RGBColor = RGBColor(40, 44, 52);
const FAINT: RGBColor = RGBColor(222, 225, 230);
const FONT: &str = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";

#[derive(Clone, Copy)]
struct Number {
    mean: f64,
    sd: f64,
}

fn number(values: &[f64]) -> Option<Number> {
    (!values.is_empty()).then(|| Number { mean: mean(values), sd: standard_deviation(values).unwrap_or(0.0) })
}

/// One series: a value at each position along `x` that has one.
struct Curve {
    title: String,
    color: RGBColor,
    points: IndexMap<String, Number>,
}

struct Reference {
    title: String,
    value: f64,
}

/// Draws a plot; an error when none of its series has a value.
pub(crate) fn draw(plot: &Plot, records: &[Record], variables: &IndexMap<String, Value>) -> Result<String> {
    let mut curves = Vec::new();
    for (i, series) in plot.series.iter().enumerate() {
        let selection = super::selection(&series.value, variables)?;
        let points = points(&selection, &plot.x, records)?;
        curves.push(Curve { title: series.title.clone(), color: COLORS[i % COLORS.len()], points });
    }
    ensure!(curves.iter().any(|curve| !curve.points.is_empty()), "none of its series has a value");
    let mut references = Vec::new();
    for series in &plot.references {
        let values = super::selection(&series.value, variables)?.by_seed(records)?;
        if let Some(number) = number(&values) {
            references.push(Reference { title: series.title.clone(), value: number.mean });
        }
    }
    match plot.kind {
        PlotKind::Bars => bars(plot, &curves, &references),
        PlotKind::Lines => lines(plot, &curves, &references),
    }
}

fn points(selection: &Selection, x: &str, records: &[Record]) -> Result<IndexMap<String, Number>> {
    let admitted = records.iter().filter(|record| selection.admits(record));
    let places: IndexSet<&String> = admitted.filter_map(|record| record.labels.get(x)).collect();
    let mut points = IndexMap::new();
    for place in places {
        if let Some(number) = number(&selection.with(x, place).by_seed(records)?) {
            points.insert(place.clone(), number);
        }
    }
    Ok(points)
}

/// `size` in pixels as drawn; the SVG backend takes a font's full height and writes its em, 1.24 times less.
fn text(size: f64, color: RGBColor) -> TextStyle<'static> {
    (FONT, size * 1.24).into_font().color(&color)
}

fn anchored(size: f64, color: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    text(size, color).pos(Pos::new(h, v))
}

/// A round step that divides `[0, most]` into four to eight parts, and the least multiple of it that holds `most`.
fn ticks(most: f64) -> (f64, f64) {
    let most = if most > 0.0 { most } else { 1.0 };
    let unit = 10f64.powf((most / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * unit).into_iter().rfind(|s| most / s >= 4.0).unwrap_or(unit);
    (step, (most / step).ceil() * step)
}

fn tick_label(value: f64, step: f64) -> String {
    let decimals = if step >= 1.0 { 0 } else { -step.log10().floor() as usize };
    format!("{value:.decimals$}")
}

fn bars(plot: &Plot, curves: &[Curve], references: &[Reference]) -> Result<String> {
    let places: IndexSet<&String> = curves.iter().flat_map(|curve| curve.points.keys()).collect();
    let longest = places.iter().map(|place| place.chars().count()).max().unwrap_or(0) as i32;
    let (thick, gap, top, bottom) = (11, 9, 62, 46);
    let group = thick * curves.len() as i32 + gap;
    let (left, width, right) = (longest * 7 + 24, 520, 96);
    let size = ((left + width + right) as u32, (top + group * places.len() as i32 + bottom) as u32);

    let largest = |n: &Number| n.mean + n.sd;
    let values = curves.iter().flat_map(|c| c.points.values()).map(largest);
    let (step, most) = ticks(values.chain(references.iter().map(|r| r.value)).fold(0.0, f64::max));
    let at = |value: f64| left + (value.clamp(0.0, most) / most * f64::from(width)).round() as i32;
    let foot = top + group * places.len() as i32;

    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        frame(&area, plot)?;
        let mut value = 0.0;
        while value <= most + step / 2.0 {
            area.draw(&PathElement::new(vec![(at(value), top), (at(value), foot)], FAINT.stroke_width(1)))?;
            let style = anchored(12.0, INK, HPos::Center, VPos::Top);
            area.draw(&Text::new(tick_label(value, step), (at(value), foot + 6), style))?;
            value += step;
        }
        let style = anchored(12.5, INK, HPos::Center, VPos::Top);
        area.draw(&Text::new(plot.y_title.clone(), (left + width / 2, foot + 24), style))?;
        for (row, place) in places.iter().enumerate() {
            let y = top + row as i32 * group + gap / 2;
            let middle = y + (group - gap) / 2;
            let style = anchored(12.5, INK, HPos::Right, VPos::Center);
            area.draw(&Text::new(place.to_string(), (left - 8, middle), style))?;
            for (i, curve) in curves.iter().enumerate() {
                let Some(number) = curve.points.get(*place) else { continue };
                let y = y + i as i32 * thick;
                let bar = [(at(0.0), y), (at(number.mean), y + thick - 1)];
                area.draw(&Rectangle::new(bar, curve.color.filled()))?;
                let middle = y + thick / 2;
                if number.sd > 0.0 {
                    let ends = vec![(at(number.mean - number.sd), middle), (at(largest(number)), middle)];
                    area.draw(&PathElement::new(ends, INK.stroke_width(1)))?;
                }
                let style = anchored(10.0, INK, HPos::Left, VPos::Center);
                let value = format!("{:.1}", number.mean);
                area.draw(&Text::new(value, (at(largest(number)) + 4, middle), style))?;
            }
        }
        area.draw(&PathElement::new(vec![(left, top), (left, foot)], INK.stroke_width(1)))?;
        for reference in references {
            let x = at(reference.value);
            for dash in (top..foot).step_by(8) {
                area.draw(&PathElement::new(
                    vec![(x, dash), (x, (dash + 4).min(foot))],
                    INK.stroke_width(1),
                ))?;
            }
            let style = anchored(11.0, INK, HPos::Center, VPos::Bottom);
            area.draw(&Text::new(reference.title.clone(), (x, top - 2), style))?;
        }
        let mut x = left;
        for curve in curves.iter().filter(|_| curves.len() > 1) {
            x = legend(&area, curve, x, 38)?;
        }
        area.present()?;
    }
    Ok(svg)
}

fn lines(plot: &Plot, curves: &[Curve], references: &[Reference]) -> Result<String> {
    let mut all: Vec<Vec<(f64, Number)>> = Vec::new();
    for curve in curves {
        let mut line = Vec::new();
        for (place, number) in &curve.points {
            let x: f64 = place.parse().with_context(|| format!("`{}` = `{place}` is no number", plot.x))?;
            line.push((x, *number));
        }
        line.sort_by(|a, b| a.0.total_cmp(&b.0));
        all.push(line);
    }
    let mut xs: Vec<f64> = all.iter().flatten().map(|point| point.0).collect();
    xs.sort_by(f64::total_cmp);
    xs.dedup();
    let values = all.iter().flatten().map(|(_, n)| n.mean + n.sd);
    let (step, most) = ticks(values.chain(references.iter().map(|r| r.value)).fold(0.0, f64::max));
    let (least_x, most_x) = (xs[0], xs[xs.len() - 1].max(xs[0] + 1e-9));
    let longest =
        references.iter().map(|reference| reference.title.chars().count()).max().unwrap_or(0) as i32;
    let (left, top, width, height, right) = (64, 62, 560, 300, 24 + longest * 7);
    let foot = top + height;
    let at_x =
        |x: f64| left + 16 + ((x - least_x) / (most_x - least_x) * f64::from(width - 32)).round() as i32;
    let at_y = |y: f64| foot - (y.clamp(0.0, most) / most * f64::from(height)).round() as i32;

    let mut svg = String::new();
    {
        let size = ((left + width + right) as u32, (foot + 50) as u32);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        frame(&area, plot)?;
        let mut value = 0.0;
        while value <= most + step / 2.0 {
            let y = at_y(value);
            area.draw(&PathElement::new(vec![(left, y), (left + width, y)], FAINT.stroke_width(1)))?;
            let style = anchored(12.0, INK, HPos::Right, VPos::Center);
            area.draw(&Text::new(tick_label(value, step), (left - 8, y), style))?;
            value += step;
        }
        for &x in &xs {
            area.draw(&PathElement::new(vec![(at_x(x), foot), (at_x(x), foot + 4)], INK.stroke_width(1)))?;
            let style = anchored(12.0, INK, HPos::Center, VPos::Top);
            area.draw(&Text::new(x.to_string(), (at_x(x), foot + 8), style))?;
        }
        area.draw(&PathElement::new(vec![(left, foot), (left + width, foot)], INK.stroke_width(1)))?;
        let style = anchored(12.5, INK, HPos::Center, VPos::Top);
        let title = plot.x_title.clone().unwrap_or_else(|| plot.x.clone());
        area.draw(&Text::new(title, (left + width / 2, foot + 28), style))?;
        let style = anchored(12.5, INK, HPos::Center, VPos::Top).transform(FontTransform::Rotate270);
        area.draw(&Text::new(plot.y_title.clone(), (12, top + height / 2), style))?;
        for reference in references {
            let y = at_y(reference.value);
            for dash in (left..left + width).step_by(8) {
                area.draw(&PathElement::new(vec![(dash, y), (dash + 4, y)], INK.stroke_width(1)))?;
            }
            let style = anchored(11.0, INK, HPos::Left, VPos::Center);
            area.draw(&Text::new(reference.title.clone(), (left + width + 6, y), style))?;
        }
        for (i, (curve, line)) in curves.iter().zip(&all).enumerate() {
            // A little apart, so that the spreads of two curves do not cover each other.
            let aside = 4 * i as i32 - 2 * (curves.len() as i32 - 1);
            let path: Vec<(i32, i32)> = line.iter().map(|(x, n)| (at_x(*x) + aside, at_y(n.mean))).collect();
            area.draw(&PathElement::new(path.clone(), curve.color.stroke_width(2)))?;
            for (center, (_, n)) in path.into_iter().zip(line) {
                let spread = vec![(center.0, at_y(n.mean - n.sd)), (center.0, at_y(n.mean + n.sd))];
                area.draw(&PathElement::new(spread, curve.color.stroke_width(1)))?;
                area.draw(&Circle::new(center, 4, curve.color.filled()))?;
            }
        }
        let mut x = left;
        for curve in curves {
            x = legend(&area, curve, x, 38)?;
        }
        area.present()?;
    }
    Ok(svg)
}

fn frame(area: &Area<'_>, plot: &Plot) -> Result<()> {
    area.fill(&WHITE)?;
    let style = anchored(15.0, INK, HPos::Left, VPos::Top);
    area.draw(&Text::new(plot.title.clone(), (16, 12), style))?;
    Ok(())
}

/// A square and the title; returns where the next one begins.
fn legend(area: &Area<'_>, curve: &Curve, x: i32, y: i32) -> Result<i32> {
    area.draw(&Rectangle::new([(x, y), (x + 10, y + 10)], curve.color.filled()))?;
    area.draw(&Text::new(
        curve.title.clone(),
        (x + 15, y + 5),
        anchored(12.0, INK, HPos::Left, VPos::Center),
    ))?;
    Ok(x + 15 + curve.title.chars().count() as i32 * 7 + 18)
}

#[cfg(test)]
mod tests {
    use crate::testing::assert_refused;
    use proptest::prelude::*;

    use super::*;
    use crate::experiment::select::tests::record;

    fn svg(kind: &str, records: &[Record]) -> Result<String> {
        let text = format!(
            "name='p'\ntitle='Exact <match>'\nkind='{kind}'\nx='k'\ny-title='percent'\n\
             [[series]]\ntitle='tuned'\nvalue={{metric='m'}}\n\
             [[reference]]\ntitle='base'\nvalue={{metric='b'}}\n"
        );
        draw(&toml::from_str(&text).expect("a plot"), records, &IndexMap::new())
    }

    #[test]
    fn bars_and_lines_show_values_axes_and_references() {
        let records = [
            record("m", 40.0, "seed=0 k=8"),
            record("m", 44.0, "seed=1 k=8"),
            record("m", 60.0, "seed=0 k=16"),
            record("m", 60.0, "seed=1 k=16"),
            record("b", 30.0, "seed=0"),
            record("b", 32.0, "seed=1"),
        ];
        for kind in ["bars", "lines"] {
            let svg = svg(kind, &records).expect("it draws");
            for want in ["Exact &lt;match&gt;", "percent", "base", "16", "<svg", "</svg>"] {
                assert!(svg.contains(want), "{kind}: `{want}` is in the drawing");
            }
            assert_eq!(svg, self::svg(kind, &records).expect("it draws"), "{kind}: the same bytes each time");
        }
        assert_refused(svg("lines", &[record("m", 1.0, "seed=0 k=a")]), "is no number");
        assert_refused(svg("bars", &[]), "none of its series has a value");
    }

    proptest! {
        #[test]
        fn ticks_hold_the_largest_value(most in 1e-6f64..1e9) {
            let (step, end) = ticks(most);
            prop_assert!(end >= most * (1.0 - 1e-12) && end - most < step * (1.0 + 1e-9), "{} within [0, {}]", most, end);
            let parts = end / step;
            prop_assert!((3.9..=11.0).contains(&parts), "{} parts", parts);
        }
    }
}
