//! Conditions on columns: `opacity>0.1`, `-1<x<=1`, several joined by `&&`; or in splat-transform's form `opacity,gt,0.1`.
//!
//! | name | value |
//! |---|---|
//! | `x` `y` `z` | position |
//! | `opacity` | alpha, 0 to 1 |
//! | `scale_0` `scale_1` `scale_2` | standard deviations; `scale` is the greatest |
//! | `f_dc_0` `f_dc_1` `f_dc_2` | red, green, blue seen without higher degrees, 0 to 1 where they can be shown |
//! | `opacity_raw`, `scale_0_raw`, `f_dc_0_raw` … | as the file stores them |
//! | `rot_0` … `rot_3`, `f_rest_0` …, a further column of a PLY | as the file stores them |
//!
//! No NaN meets a condition but `!=`.

use std::fmt;
use std::str::FromStr;

use crate::splats::{SH_C0, Values};
use crate::{Error, Result, Splats};

/// Conditions that a Gaussian has to meet, all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    text: String,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
struct Condition {
    name: String,
    is: Comparison,
    than: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    Other,
}

use Comparison::{AtLeast, AtMost, Equal, Less, More, Other};

/// Signs and splat-transform's words; longer signs first.
const COMPARISONS: [(&str, &str, Comparison); 6] = [
    ("<=", "lte", AtMost),
    (">=", "gte", AtLeast),
    ("==", "eq", Equal),
    ("!=", "neq", Other),
    ("<", "lt", Less),
    (">", "gt", More),
];

impl Comparison {
    fn holds(self, value: f64, than: f64) -> bool {
        match self {
            Less => value < than,
            AtMost => value <= than,
            More => value > than,
            AtLeast => value >= than,
            Equal => value == than,
            Other => value != than,
        }
    }

    /// With its sides exchanged.
    fn turned(self) -> Self {
        match self {
            Less => More,
            AtMost => AtLeast,
            More => Less,
            AtLeast => AtMost,
            same => same,
        }
    }
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut conditions = vec![];
        for part in text.split("&&") {
            let parsed = parse(part.trim()).ok_or_else(|| {
                let expected = "conditions such as `opacity>0.1` or `-1<x<=1`, joined by &&";
                Error::setting("filter", expected, format!("`{part}`"))
            })?;
            conditions.extend(parsed);
        }
        Ok(Self { text: text.trim().to_owned(), conditions })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One condition, or the two of a range.
fn parse(part: &str) -> Option<Vec<Condition>> {
    if let [name, word, number] = part.split(',').map(str::trim).collect::<Vec<_>>()[..] {
        let &(_, _, is) = COMPARISONS.iter().find(|(_, known, _)| *known == word)?;
        return Some(vec![Condition { name: name_of(name)?, is, than: number_of(number)? }]);
    }
    let (mut operands, mut signs, mut rest) = (vec![], vec![], part);
    while let Some((place, sign, is)) = next_sign(rest) {
        operands.push(rest[..place].trim());
        signs.push(is);
        rest = &rest[place + sign.len()..];
    }
    operands.push(rest.trim());
    let condition = |name: &str, is: Comparison, number: &str| {
        Some(Condition { name: name_of(name)?, is, than: number_of(number)? })
    };
    match (&operands[..], &signs[..]) {
        (&[a, b], &[is]) => {
            condition(a, is, b).or_else(|| condition(b, is.turned(), a)).map(|condition| vec![condition])
        }
        (&[low, name, high], &[a, b]) => {
            Some(vec![condition(name, a.turned(), low)?, condition(name, b, high)?])
        }
        _ => None,
    }
}

/// The first sign of comparison in a text.
fn next_sign(text: &str) -> Option<(usize, &'static str, Comparison)> {
    let found =
        COMPARISONS.iter().filter_map(|&(sign, _, is)| text.find(sign).map(|place| (place, sign, is)));
    // Of signs at one place the longer comes first.
    found.min_by_key(|&(place, ..)| place)
}

fn name_of(text: &str) -> Option<String> {
    (!text.is_empty() && number_of(text).is_none()).then(|| text.to_owned())
}

fn number_of(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| !number.is_nan())
}

impl Filter {
    /// Which Gaussians meet every condition.
    ///
    /// # Errors
    /// [`Error::Core`] with a setting for a column that is not there.
    pub fn rows(&self, splats: &Splats) -> Result<Vec<bool>> {
        let mut is_kept = vec![true; splats.len()];
        for condition in &self.conditions {
            let value = column(splats, &condition.name).ok_or_else(|| {
                let known =
                    "x y z opacity scale scale_0… f_dc_0… rot_0… f_rest_0…, _raw, or a further column";
                Error::setting(
                    "filter",
                    format!("a column of the scene ({known})"),
                    format!("`{}`", condition.name),
                )
            })?;
            is_kept.iter_mut().enumerate().for_each(|(row, kept)| {
                *kept = *kept && condition.is.holds(value(row), condition.than);
            });
        }
        Ok(is_kept)
    }
}

/// A column's values by its name.
fn column<'a>(splats: &'a Splats, name: &'a str) -> Option<Box<dyn Fn(usize) -> f64 + 'a>> {
    if name == "scale" {
        let [a, b, c] = &splats.scales;
        return Some(Box::new(|row| f64::from(a[row].max(b[row]).max(c[row])).exp()));
    }
    let (plain, is_raw) = name.strip_suffix("_raw").map_or((name, false), |plain| (plain, true));
    let raw = |column: &'a Vec<f32>| move |row: usize| f64::from(column[row]);
    let indexed = |prefix: &str, columns: &'a [Vec<f32>]| {
        let index = plain.strip_prefix(prefix)?;
        let place: usize = index.parse().ok().filter(|place: &usize| place.to_string() == index)?;
        columns.get(place)
    };
    if plain == "opacity" {
        let logit = raw(&splats.opacities);
        return Some(if is_raw {
            Box::new(logit)
        } else {
            Box::new(move |row| 1.0 / (1.0 + (-logit(row)).exp()))
        });
    }
    if let Some(column) = indexed("scale_", &splats.scales) {
        let log = raw(column);
        return Some(if is_raw { Box::new(log) } else { Box::new(move |row| log(row).exp()) });
    }
    if let Some(column) = indexed("f_dc_", &splats.dc) {
        let dc = raw(column);
        let colour = move |row| 0.5 + f64::from(SH_C0) * dc(row);
        return Some(if is_raw { Box::new(dc) } else { Box::new(colour) });
    }
    if let Some(extra) = splats.extras.iter().find(|extra| extra.name == name) {
        let values: &Values = &extra.values;
        return Some(Box::new(|row| values.at(row)));
    }
    let axis = ["x", "y", "z"].iter().position(|axis| *axis == plain).map(|axis| &splats.positions[axis]);
    let others = || indexed("rot_", &splats.rotations).or_else(|| indexed("f_rest_", &splats.rest));
    axis.or_else(others).map(|column| Box::new(raw(column)) as Box<dyn Fn(usize) -> f64>)
}

#[cfg(test)]
mod tests {
    use grouping_core::testing::assert_refused;

    use super::*;

    fn condition(name: &str, is: Comparison, than: f64) -> Condition {
        Condition { name: name.into(), is, than }
    }

    #[test]
    fn conditions_are_read_in_every_form() {
        let cases = [
            ("x<1", vec![condition("x", Less, 1.)]),
            ("x <= -1e-3", vec![condition("x", AtMost, -1e-3)]),
            ("0.1>opacity", vec![condition("opacity", Less, 0.1)]),
            ("-1<x<=1", vec![condition("x", More, -1.), condition("x", AtMost, 1.)]),
            ("1>=y>-inf", vec![condition("y", AtMost, 1.), condition("y", More, f64::NEG_INFINITY)]),
            ("f_dc_0!=0 && label == 3", vec![condition("f_dc_0", Other, 0.), condition("label", Equal, 3.)]),
            ("opacity_raw,gte,2", vec![condition("opacity_raw", AtLeast, 2.)]),
        ];
        for (text, expected) in cases {
            let found = text.parse::<Filter>().expect("a filter");
            assert_eq!(found.conditions, expected, "{text}");
            assert_eq!(found.to_string(), text, "its own words");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in
            ["", "x", "x<", "<1", "1<2", "x<y", "x<1<2", "1<x<2<3", "x=1", "x<nan", "x,is,1", "x<1&&", "x><1"]
        {
            assert_refused(text.parse::<Filter>(), "conditions such as");
        }
    }
}
