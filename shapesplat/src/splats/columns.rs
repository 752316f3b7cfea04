//! The columns of splats under the names that a PLY has for them.

use super::Splats;
use crate::{Error, Result};

/// The columns of positions.
pub(crate) const POSITIONS: [&str; 3] = ["x", "y", "z"];
/// The columns of colours.
pub(crate) const DC: [&str; 3] = ["f_dc_0", "f_dc_1", "f_dc_2"];
/// The columns of scales.
pub(crate) const SCALES: [&str; 3] = ["scale_0", "scale_1", "scale_2"];
/// The columns of rotations: w, x, y, z.
pub(crate) const ROTATIONS: [&str; 4] = ["rot_0", "rot_1", "rot_2", "rot_3"];
/// How many columns there are of the higher degrees of spherical harmonics, by degree.
pub(crate) const REST: [usize; 5] = [0, 9, 24, 45, 72];

impl Splats {
    /// `n` Gaussians of zeros, with so many columns of higher degrees.
    pub(crate) fn zeros(n: usize, n_rest: usize) -> Self {
        let zeros = || vec![0.0; n];
        Self {
            positions: std::array::from_fn(|_| zeros()),
            scales: std::array::from_fn(|_| zeros()),
            rotations: std::array::from_fn(|_| zeros()),
            opacities: zeros(),
            dc: std::array::from_fn(|_| zeros()),
            rest: (0..n_rest).map(|_| zeros()).collect(),
            ..Self::default()
        }
    }

    /// All columns but the extra ones, in graphdeco's order: x y z, f_dc, f_rest, opacity, scale, rot.
    pub fn columns(&self) -> Vec<(String, &[f32])> {
        let mut columns: Vec<(String, &[f32])> = Vec::with_capacity(14 + self.rest.len());
        columns.extend(named(POSITIONS, &self.positions));
        columns.extend(named(DC, &self.dc));
        columns.extend(self.rest.iter().enumerate().map(|(i, column)| (format!("f_rest_{i}"), &column[..])));
        columns.push(("opacity".to_owned(), &self.opacities));
        columns.extend(named(SCALES, &self.scales));
        columns.extend(named(ROTATIONS, &self.rotations));
        columns
    }

    /// Refuses columns that do not belong together.
    pub(crate) fn check_shape(&self) -> Result<()> {
        let n = self.len();
        let refuse = |name: &str, found: usize| {
            Err(Error::setting(name, format!("{n} values, as of `opacity`"), found))
        };
        if !REST.contains(&self.rest.len()) {
            let (expected, found) = ("0, 9, 24, 45 or 72 columns", self.rest.len());
            return Err(Error::setting("f_rest", expected, found));
        }
        for (name, column) in self.columns() {
            if column.len() != n {
                return refuse(&name, column.len());
            }
        }
        for extra in &self.extras {
            if extra.values.len() != n {
                return refuse(&extra.name, extra.values.len());
            }
        }
        Ok(())
    }
}

fn named<'a, const N: usize>(
    names: [&'static str; N],
    columns: &'a [Vec<f32>; N],
) -> impl Iterator<Item = (String, &'a [f32])> {
    names.into_iter().zip(columns).map(|(name, column)| (name.to_owned(), &column[..]))
}
