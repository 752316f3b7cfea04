//! What splats are: how many, of which degree, within which bounds, and how the values of each column lie.
//!
//! Fields are named as those of splat-transform's `--stats json` where they are equal: least, greatest, median and mean of a column are
//! *activated*, scales by `exp`, opacities by the logistic function, colours by `½ + C0·dc`; the standard deviation and the bins of the
//! histogram are of raw values; what is NaN or infinite is counted and left out of all of them.
//!
//! Deviation: splat-transform puts standard deviations through the activations too, as if they were values. And medians are those of the values, but for coefficients of higher degrees, where they are within a 1024th of the range as
//! splat-transform has all of them.

mod column;

use rayon::prelude::*;

use column::Exact;
pub use column::{Column, N_BINS};

use crate::splats::{SH_C0, Splats, Values};

/// Bins of [`Summary::alphas`].
const N_ALPHAS: usize = 64;

/// A summary of splats.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// The number of Gaussians.
    pub count: usize,
    /// The degree of the spherical harmonics.
    #[serde(rename = "shBands")]
    pub degree: usize,
    /// Whether the scene was trained with antialiasing, where the file says so.
    pub antialiased: Option<bool>,
    /// Comments of the file.
    pub comments: Vec<String>,
    /// Columns that are no part of a splat.
    #[serde(rename = "extraColumns")]
    pub extras: Vec<String>,
    /// The box of all finite positions; none where there is no position.
    pub bounds: Option<Bounds>,
    /// How many alphas lie in each of 64 steps from 0 to 1; infinite logits are 0 and 1.
    #[serde(rename = "alphaHistogram")]
    pub alphas: Vec<u64>,
    /// Every column under its name in a PLY.
    #[serde(skip)]
    pub columns: Vec<(String, Column)>,
}

/// A box.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Bounds {
    /// Its least corner.
    pub min: [f64; 3],
    /// Its greatest corner.
    pub max: [f64; 3],
}

/// How raw values are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    Exp,
    Sigmoid,
    Colour,
}

impl Activation {
    fn of(column: &str) -> Self {
        match column {
            "opacity" => Self::Sigmoid,
            name if name.starts_with("scale_") => Self::Exp,
            name if name.starts_with("f_dc_") => Self::Colour,
            _ => Self::None,
        }
    }

    pub(crate) fn apply(self, value: f64) -> f64 {
        match self {
            Self::None => value,
            Self::Exp => value.exp(),
            Self::Sigmoid => 1.0 / (1.0 + (-value).exp()),
            Self::Colour => 0.5 + f64::from(SH_C0) * value,
        }
    }
}

/// Summarises splats.
pub fn summarise(splats: &Splats) -> Summary {
    let mut named = splats.columns();
    // As splat-transform lists them: positions, rotations, scales, opacity, colours.
    let place = |name: &str| {
        let order = ["rot_", "scale_", "opacity", "f_dc_", "f_rest_"];
        order.iter().position(|start| name.starts_with(start)).map_or(0, |i| i + 1)
    };
    named.sort_by_key(|(name, _)| place(name));
    let mut columns: Vec<(String, Column)> = named
        .into_par_iter()
        .map(|(name, values)| {
            let exact = if name.starts_with("f_rest_") { Exact::Nearly } else { Exact::Yes };
            let column = Column::of(values, Activation::of(&name), exact);
            (name, column)
        })
        .collect();
    columns.extend(splats.extras.iter().map(|extra| {
        let column = match &extra.values {
            Values::I8(values) => wide(values),
            Values::U8(values) => wide(values),
            Values::I16(values) => wide(values),
            Values::U16(values) => wide(values),
            Values::I32(values) => wide(values),
            Values::U32(values) => wide(values),
            Values::F32(values) => Column::of(values, Activation::None, Exact::Yes),
            Values::F64(values) => Column::of(values, Activation::None, Exact::Yes),
        };
        (extra.name.clone(), column)
    }));
    let corner = |of: fn(&Column) -> Option<f64>| {
        let corner: Option<Vec<f64>> = columns[..3].iter().map(|(_, column)| of(column)).collect();
        corner.and_then(|corner| <[f64; 3]>::try_from(corner).ok())
    };
    let bounds = corner(|column| column.min).zip(corner(|column| column.max));
    Summary {
        count: splats.len(),
        degree: splats.degree(),
        antialiased: splats.antialiased,
        comments: splats.comments.clone(),
        extras: splats.extras.iter().map(|extra| extra.name.clone()).collect(),
        bounds: bounds.map(|(min, max)| Bounds { min, max }),
        alphas: alphas(&splats.opacities),
        columns,
    }
}

fn wide<T: Copy + Into<f64>>(values: &[T]) -> Column {
    let values: Vec<f64> = values.iter().map(|&value| value.into()).collect();
    Column::of(&values, Activation::None, Exact::Yes)
}

/// Counts alphas between logits, which are compared instead of the alphas.
fn alphas(logits: &[f32]) -> Vec<u64> {
    let edges: Vec<f32> = (1..N_ALPHAS).map(|i| (i as f32 / (N_ALPHAS - i) as f32).ln()).collect();
    let mut counts = vec![0; N_ALPHAS];
    for logit in logits.iter().filter(|logit| !logit.is_nan()) {
        counts[edges.partition_point(|edge| edge <= logit)] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alphas_are_counted_between_their_logits() {
        let logit = |alpha: f32| (alpha / (1.0 - alpha)).ln();
        let logits = [f32::NEG_INFINITY, f32::INFINITY, f32::NAN, logit(0.51), logit(0.49), logit(0.001)];
        let counts = alphas(&logits);
        assert_eq!([counts[0], counts[31], counts[32], counts[63]], [2, 1, 1, 1], "by their alphas");
        assert_eq!(counts.iter().sum::<u64>(), 5, "all but the NaN");
    }
}
