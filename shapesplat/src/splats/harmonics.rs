//! Real spherical harmonics of degrees 0 to 4, with the signs of 3D Gaussian splatting, and how a turned scene changes them.
//!
//! A Gaussian seen along the unit direction `d`, from the camera to it, has the colour `½ + Σᵢ cᵢ·Yᵢ(d)`, cut at 0 from below.
//! Orders run from `m = −l` to `l` within a degree `l`, and the sign of order `m` is `(−1)ᵐ`: graphdeco's and glTF's.
//!
//! A scene turned by the orthogonal matrix `M` shows along `d` what it showed along `Mᵀd`. So coefficients become `D·c` with
//! `D[j][i] = ∫ Yⱼ(d)·Yᵢ(Mᵀd) dd` over the sphere, the real Wigner matrix of each degree. Products of two such functions are
//! polynomials of degree 8 at most, which 5 nodes of Gauss–Legendre in z and 9 equal angles around z integrate exactly.

use std::f64::consts::{PI, TAU};

use rayon::prelude::*;

use super::Splats;

/// The highest degree that any format holds.
pub const MAX_DEGREE: usize = 4;

/// Signs that half a turn about z gives to the coefficients of degrees 1 to 4: `(−1)ᵐ`.
pub const HALF_TURN_ABOUT_Z: [f32; 24] = [
    -1., 1., -1., //
    1., -1., 1., -1., 1., //
    -1., 1., -1., 1., -1., 1., -1., //
    1., -1., 1., -1., 1., -1., 1., -1., 1.,
];

/// Below it an entry of a Wigner matrix is rounding, and so is its distance from ±1.
const ROUNDING: f64 = 1e-13;

/// The 25 basis functions along a unit direction, degree by degree.
///
/// ```
/// let basis = shapesplat::splats::harmonics::basis([0., 0., 1.]);
/// assert!((basis[0] - f64::from(shapesplat::splats::SH_C0)).abs() < 1e-7);
/// assert!((basis[2] - 0.4886025).abs() < 1e-7, "degree 1, order 0: +C₁·z");
/// ```
pub fn basis([x, y, z]: [f64; 3]) -> [f64; 25] {
    let (xx, yy, zz) = (x * x, y * y, z * z);
    let c1 = (3.0 / (4.0 * PI)).sqrt();
    let c2 = (15.0 / (4.0 * PI)).sqrt();
    let c3 = [(35.0 / (32.0 * PI)).sqrt(), (105.0 / (4.0 * PI)).sqrt(), (21.0 / (32.0 * PI)).sqrt()];
    let c4 = [
        0.75 * (35.0 / PI).sqrt(),
        0.75 * (35.0 / (2.0 * PI)).sqrt(),
        0.75 * (5.0 / PI).sqrt(),
        0.75 * (5.0 / (2.0 * PI)).sqrt(),
    ];
    [
        0.5 / PI.sqrt(),
        -c1 * y,
        c1 * z,
        -c1 * x,
        c2 * x * y,
        -c2 * y * z,
        c2 / 12f64.sqrt() * (2.0 * zz - xx - yy),
        -c2 * x * z,
        c2 / 2.0 * (xx - yy),
        -c3[0] * y * (3.0 * xx - yy),
        c3[1] * x * y * z,
        -c3[2] * y * (4.0 * zz - xx - yy),
        0.25 * (7.0 / PI).sqrt() * z * (2.0 * zz - 3.0 * xx - 3.0 * yy),
        -c3[2] * x * (4.0 * zz - xx - yy),
        c3[1] / 2.0 * z * (xx - yy),
        -c3[0] * x * (xx - 3.0 * yy),
        c4[0] * x * y * (xx - yy),
        -c4[1] * y * z * (3.0 * xx - yy),
        c4[2] * x * y * (6.0 * zz - xx - yy),
        -c4[3] * y * z * (4.0 * zz - 3.0 * xx - 3.0 * yy),
        (3.0 / 16.0) / PI.sqrt() * (8.0 * zz * zz - 24.0 * zz * (xx + yy) + 3.0 * (xx + yy) * (xx + yy)),
        -c4[3] * x * z * (4.0 * zz - 3.0 * xx - 3.0 * yy),
        c4[2] / 2.0 * (xx - yy) * (6.0 * zz - xx - yy),
        -c4[1] * x * z * (xx - 3.0 * yy),
        c4[0] / 4.0 * (xx * (xx - 3.0 * yy) - yy * (3.0 * xx - yy)),
    ]
}

/// The colour of a Gaussian seen along a unit direction, cut at 0 from below; red, green, blue.
///
/// # Panics
/// When there is no such row.
pub fn colour(splats: &Splats, row: usize, direction: [f64; 3]) -> [f64; 3] {
    let basis = basis(direction);
    let n_rest = splats.rest.len() / 3;
    std::array::from_fn(|channel| {
        let rest = splats.rest[channel * n_rest..][..n_rest].iter().zip(&basis[1..]);
        let sum: f64 = rest.map(|(column, y)| f64::from(column[row]) * y).sum();
        (0.5 + f64::from(splats.dc[channel][row]) * basis[0] + sum).max(0.0)
    })
}

/// Wigner matrices of degrees 1 to 4: what an orthogonal map of space does to coefficients.
#[derive(Clone, Debug)]
pub struct Wigner {
    /// Of degree l at `l − 1`: `2l + 1` rows of as many entries, the entries that are not 0 with their columns.
    bands: Vec<Vec<Vec<(usize, f64)>>>,
}

impl Wigner {
    /// Those of an orthogonal matrix: a rotation, or one with a reflection.
    pub fn new(matrix: &[[f64; 3]; 3]) -> Self {
        let mut whole = [[0.0; 25]; 25];
        for (direction, weight) in nodes() {
            let before = std::array::from_fn(|i| (0..3).map(|j| matrix[j][i] * direction[j]).sum());
            let (seen, was) = (basis(direction), basis(before));
            for (row, seen) in whole.iter_mut().zip(seen) {
                row.iter_mut().zip(was).for_each(|(entry, was)| *entry += weight * seen * was);
            }
        }
        let band = |degree: usize| {
            let orders = degree * degree..(degree + 1) * (degree + 1);
            let row = |row: &[f64; 25]| {
                let entries = row[orders.clone()].iter().copied().map(snapped).enumerate();
                entries.filter(|(_, entry)| *entry != 0.0).collect()
            };
            whole[orders.clone()].iter().map(row).collect()
        };
        Self { bands: (1..=MAX_DEGREE).map(band).collect() }
    }

    /// Turns the coefficients of one channel: 3, 8, 15 or 24 columns of degree 1 and above.
    fn turn(&self, columns: &mut [Vec<f32>]) {
        let mut rest = columns;
        for band in &self.bands {
            let Some((columns, above)) = rest.split_at_mut_checked(band.len()) else { break };
            rest = above;
            turn_band(band, columns);
        }
    }

    /// Turns the coefficients of all channels and degrees above 0.
    pub fn apply(&self, splats: &mut Splats) {
        let n_rest = (splats.rest.len() / 3).max(1);
        splats.rest.par_chunks_mut(n_rest).for_each(|channel| self.turn(channel));
    }
}

/// Each row of the columns of one degree, multiplied with the degree's matrix; sums in f64.
fn turn_band(band: &[Vec<(usize, f64)>], columns: &mut [Vec<f32>]) {
    let is_diagonal = band.iter().enumerate().all(|(j, row)| matches!(row[..], [(i, _)] if i == j));
    if is_diagonal {
        for (column, row) in columns.iter_mut().zip(band) {
            if row[0].1 == -1.0 {
                column.iter_mut().for_each(|c| *c = -*c);
            }
        }
        return;
    }
    let n = columns[0].len();
    let mut before = [0.0; 2 * MAX_DEGREE + 1];
    for i in 0..n {
        before.iter_mut().zip(columns.iter()).for_each(|(before, column)| *before = f64::from(column[i]));
        for (column, row) in columns.iter_mut().zip(band) {
            column[i] = row.iter().map(|&(j, entry)| entry * before[j]).sum::<f64>() as f32;
        }
    }
}

/// An entry without the rounding that would spoil a change of signs or of places.
fn snapped(entry: f64) -> f64 {
    let whole = entry.round();
    if (entry - whole).abs() < ROUNDING { whole } else { entry }
}

/// Directions and weights of a quadrature of the sphere that is exact for polynomials of degree 8.
fn nodes() -> impl Iterator<Item = ([f64; 3], f64)> {
    let (near, far) =
        ((5.0 - 2.0 * (10f64 / 7.0).sqrt()).sqrt() / 3.0, (5.0 + 2.0 * (10f64 / 7.0).sqrt()).sqrt() / 3.0);
    let weights = [(322.0 + 13.0 * 70f64.sqrt()) / 900.0, (322.0 - 13.0 * 70f64.sqrt()) / 900.0];
    let rings = [
        (0.0, 128.0 / 225.0),
        (near, weights[0]),
        (-near, weights[0]),
        (far, weights[1]),
        (-far, weights[1]),
    ];
    rings.into_iter().flat_map(|(z, weight)| {
        let radius = (1.0 - z * z).sqrt();
        (0..9).map(move |k| {
            let (sin, cos) = (TAU * f64::from(k) / 9.0).sin_cos();
            ([radius * cos, radius * sin, z], weight * TAU / 9.0)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::splats::turn::Turn;

    #[test]
    fn the_basis_is_orthonormal() {
        let mut gram = [[0.0; 25]; 25];
        for (direction, weight) in nodes() {
            let basis = basis(direction);
            for (i, row) in gram.iter_mut().enumerate() {
                row.iter_mut().zip(basis).for_each(|(entry, b)| *entry += weight * basis[i] * b);
            }
        }
        for (i, row) in gram.iter().enumerate() {
            for (j, &entry) in row.iter().enumerate() {
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((entry - expected).abs() < 1e-14, "functions {i} and {j}: {entry}");
            }
        }
    }

    #[test]
    fn the_constants_are_those_of_graphdeco() {
        // C1 to C3 of its `sh_utils`, C4 of the tables it took them from, each where the polynomial is known.
        let d = [0.6, 0.0, 0.8];
        let found = basis(d);
        let (x, z) = (0.6f64, 0.8f64);
        let expected = [
            (2, 0.488_602_511_902_919_9 * z),
            (3, -0.488_602_511_902_919_9 * x),
            (6, 0.315_391_565_252_520_05 * (2.0 * z * z - x * x)),
            (7, -1.092_548_430_592_079_2 * x * z),
            (8, 0.546_274_215_296_039_6 * x * x),
            (12, 0.373_176_332_590_115_4 * z * (2.0 * z * z - 3.0 * x * x)),
            (13, -0.457_045_799_464_465_8 * x * (4.0 * z * z - x * x)),
            (14, 1.445_305_721_320_277 * z * x * x),
            (15, -0.590_043_589_926_643_5 * x * x * x),
            (20, 0.105_785_546_915_204_31 * (z * z * (35.0 * z * z - 30.0) + 3.0)),
            (21, -0.669_046_543_557_289_2 * x * z * (7.0 * z * z - 3.0)),
            (22, 0.473_087_347_878_780_04 * x * x * (7.0 * z * z - 1.0)),
            (23, -1.770_130_769_779_930_4 * x * z * x * x),
            (24, 0.625_835_735_449_176_1 * x * x * x * x),
        ];
        for (i, expected) in expected {
            assert!((found[i] - expected).abs() < 1e-9, "function {i}: {} instead of {expected}", found[i]);
        }
    }

    #[test]
    fn half_a_turn_about_z_is_a_change_of_signs() {
        let wigner = Wigner::new(Turn::HALF_ABOUT_Z.matrix());
        let entries = wigner.bands.iter().flatten().zip(0..);
        for (row, i) in entries {
            let first =
                (1..=MAX_DEGREE).rev().find(|l| l * l - 1 <= i).map(|l| l * l - 1).unwrap_or_default();
            assert_eq!(row[..], [(i - first, f64::from(HALF_TURN_ABOUT_Z[i]))], "coefficient {i}");
        }
    }
}
