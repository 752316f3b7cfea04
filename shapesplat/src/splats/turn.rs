//! Turns about the origin, applied to everything of a scene that has a direction.
//!
//! By the orthogonal matrix `M` positions and normals become `M·p`, coefficients of spherical harmonics their Wigner matrices'
//! products ([`super::harmonics`]), and rotations `M·R`. A reflection `M` turns by the rotation `−M`: the Gaussian of `−M·R` is
//! that of `M·R`, because an ellipsoid is its own point reflection.

use rayon::prelude::*;

use super::frame::Frame;
use super::harmonics::Wigner;
use super::{Splats, Values};

/// A rotation about the origin, or one with a reflection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turn {
    matrix: [[f64; 3]; 3],
    /// Of the matrix, or of its negative where it reflects: w, x, y, z.
    quaternion: [f64; 4],
}

impl Turn {
    /// None.
    pub const NONE: Self =
        Self { matrix: [[1., 0., 0.], [0., 1., 0.], [0., 0., 1.]], quaternion: [1., 0., 0., 0.] };
    /// By 180° about z: from PLY's frame to glTF's, as other tools have it.
    pub const HALF_ABOUT_Z: Self =
        Self { matrix: [[-1., 0., 0.], [0., -1., 0.], [0., 0., 1.]], quaternion: [0., 0., 0., 1.] };

    /// About the axis 0, 1 or 2 by degrees, counter-clockwise for who looks against the axis.
    ///
    /// # Panics
    /// When there is no such axis.
    pub fn about(axis: usize, degrees: f64) -> Self {
        let (a, b) = ((axis + 1) % 3, (axis + 2) % 3);
        let (sin, cos) = sin_cos(degrees);
        let mut matrix = Self::NONE.matrix;
        (matrix[a][a], matrix[a][b], matrix[b][a], matrix[b][b]) = (cos, -sin, sin, cos);
        let (sin, cos) = sin_cos(degrees.rem_euclid(360.0) / 2.0);
        let mut quaternion = [cos, 0., 0., 0.];
        quaternion[1 + axis] = sin;
        Self { matrix, quaternion }
    }

    /// About x, then about the y and then about the z that do not turn with it, by degrees.
    ///
    /// ```
    /// use shapesplat::splats::turn::Turn;
    /// let turn = Turn::euler([90., 0., 90.]);
    /// assert_eq!(turn.point([0., 1., 0.]), [0., 0., 1.], "y goes to z by the first, which the last leaves");
    /// ```
    pub fn euler([x, y, z]: [f64; 3]) -> Self {
        Self::about(0, x).then(&Self::about(1, y)).then(&Self::about(2, z))
    }

    /// The turn of a quaternion w, x, y, z of any length; none of one without a length.
    ///
    /// ```
    /// use shapesplat::splats::turn::Turn;
    /// let turn = Turn::of_quaternion([0., 0., 0., -3.]).expect("a length");
    /// assert_eq!(turn.point([1., 2., 3.]), [-1., -2., 3.], "half a turn about z");
    /// assert_eq!(Turn::of_quaternion([0.; 4]), None);
    /// ```
    pub fn of_quaternion(quaternion: [f64; 4]) -> Option<Self> {
        let length = quaternion.iter().map(|part| part * part).sum::<f64>().sqrt();
        if !(length > 0.0 && length.is_finite()) {
            return None;
        }
        let quaternion = quaternion.map(|part| part / length);
        let [w, x, y, z] = quaternion;
        let matrix = [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
            [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
            [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
        ];
        Some(Self { matrix, quaternion })
    }

    /// The turn whose matrix this is but for rounding.
    pub(crate) fn nearest(matrix: &[[f64; 3]; 3]) -> Self {
        Self::of_quaternion(quaternion_of(matrix)).unwrap_or(Self::NONE)
    }

    /// From coordinates in one frame to those in another; it reflects where they differ in handedness.
    pub fn between(from: Frame, to: Frame) -> Self {
        let matrix = from.matrix_to(to);
        let sign = if determinant(&matrix) < 0.0 { -1.0 } else { 1.0 };
        Self { matrix, quaternion: quaternion_of(&matrix.map(|row| row.map(|entry| sign * entry))) }
    }

    /// This turn, and `next` after it.
    pub fn then(&self, next: &Self) -> Self {
        let entry = |i: usize, j: usize| (0..3).map(|k| next.matrix[i][k] * self.matrix[k][j]).sum();
        let matrix = std::array::from_fn(|i| std::array::from_fn(|j| entry(i, j)));
        Self { matrix, quaternion: product(next.quaternion, self.quaternion) }
    }

    /// The turn that undoes this one.
    pub fn inverse(&self) -> Self {
        let matrix = std::array::from_fn(|i| std::array::from_fn(|j| self.matrix[j][i]));
        let [w, x, y, z] = self.quaternion;
        Self { matrix, quaternion: [w, -x, -y, -z] }
    }

    /// Whether left and right are exchanged.
    pub fn reflects(&self) -> bool {
        determinant(&self.matrix) < 0.0
    }

    /// Row by row.
    pub fn matrix(&self) -> &[[f64; 3]; 3] {
        &self.matrix
    }

    /// Where a point goes.
    pub fn point(&self, point: [f64; 3]) -> [f64; 3] {
        self.matrix.map(|row| {
            let terms = row.iter().zip(point).filter(|(entry, _)| **entry != 0.0);
            terms.map(|(entry, p)| entry * p).sum()
        })
    }

    /// A Gaussian's rotation after the turn, w, x, y, z; of the length that it had.
    pub fn rotation(&self, quaternion: [f64; 4]) -> [f64; 4] {
        product(self.quaternion, quaternion)
    }

    /// Turns positions, rotations, spherical harmonics, and normals where there are any.
    pub fn apply(&self, splats: &mut Splats) {
        if *self == Self::NONE {
            return;
        }
        map_rows(&mut splats.positions, |p| self.point(p));
        map_rows(&mut splats.rotations, |q| self.rotation(q));
        if let Some(mut normals) = take_normals(splats) {
            map_rows(&mut normals, |n| self.point(n));
            put_normals(splats, normals);
        }
        if !splats.rest.is_empty() {
            Wigner::new(&self.matrix).apply(splats);
        }
    }
}

/// Normals' properties.
const NORMALS: [&str; 3] = ["nx", "ny", "nz"];

/// The columns of normals, where all three are there as floats.
fn take_normals(splats: &mut Splats) -> Option<[Vec<f32>; 3]> {
    let place = |name: &&str| {
        splats.extras.iter().position(|e| e.name == *name && matches!(e.values, Values::F32(_)))
    };
    let places: Vec<usize> = NORMALS.iter().filter_map(place).collect();
    let places: [usize; 3] = places.try_into().ok()?;
    Some(places.map(|place| match &mut splats.extras[place].values {
        Values::F32(values) => std::mem::take(values),
        _ => vec![],
    }))
}

fn put_normals(splats: &mut Splats, normals: [Vec<f32>; 3]) {
    for (name, column) in NORMALS.into_iter().zip(normals) {
        if let Some(extra) = splats.extras.iter_mut().find(|extra| extra.name == name) {
            extra.values = Values::F32(column);
        }
    }
}

/// Rows that one task changes.
const ROWS: usize = 16384;

/// Changes each row of `N` columns, in f64.
pub(crate) fn map_rows<const N: usize>(
    columns: &mut [Vec<f32>; N],
    change: impl Fn([f64; N]) -> [f64; N] + Sync,
) {
    let mut chunks: Vec<Vec<&mut [f32]>> = vec![];
    for column in columns {
        for (i, chunk) in column.chunks_mut(ROWS).enumerate() {
            if chunks.len() <= i {
                chunks.push(vec![]);
            }
            chunks[i].push(chunk);
        }
    }
    chunks.into_par_iter().for_each(|mut chunk| {
        for i in 0..chunk[0].len() {
            let row = change(std::array::from_fn(|j| f64::from(chunk[j][i])));
            chunk.iter_mut().zip(row).for_each(|(column, value)| column[i] = value as f32);
        }
    });
}

/// Sine and cosine of degrees, exact where they are 0, ½·√2 or 1.
fn sin_cos(degrees: f64) -> (f64, f64) {
    use std::f64::consts::FRAC_1_SQRT_2 as H;
    let degrees = degrees.rem_euclid(360.0);
    let eighth = degrees / 45.0;
    if eighth.fract() != 0.0 {
        return degrees.to_radians().sin_cos();
    }
    match eighth as u8 {
        0 => (0., 1.),
        1 => (H, H),
        2 => (1., 0.),
        3 => (H, -H),
        4 => (0., -1.),
        5 => (-H, -H),
        6 => (-1., 0.),
        7 => (-H, H),
        // A tiny negative angle is rounded up to a whole turn.
        _ => (0., 1.),
    }
}

fn determinant(m: &[[f64; 3]; 3]) -> f64 {
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
}

/// Hamilton's product of quaternions w, x, y, z; terms with a 0 of the first are left out, so that signs and places change exactly.
fn product(a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
    let [w, x, y, z] = b;
    let rows = [[w, -x, -y, -z], [x, w, z, -y], [y, -z, w, x], [z, y, -x, w]];
    rows.map(|row| {
        let terms = a.iter().zip(row).filter(|(a, _)| **a != 0.0);
        terms.map(|(a, b)| a * b).sum()
    })
}

/// The unit quaternion of a rotation, by its greatest component (Shepperd 1978).
fn quaternion_of(m: &[[f64; 3]; 3]) -> [f64; 4] {
    let squares = [
        1.0 + m[0][0] + m[1][1] + m[2][2],
        1.0 + m[0][0] - m[1][1] - m[2][2],
        1.0 - m[0][0] + m[1][1] - m[2][2],
        1.0 - m[0][0] - m[1][1] + m[2][2],
    ];
    let greatest = (0..4).rev().max_by(|&a, &b| squares[a].total_cmp(&squares[b])).unwrap_or(0);
    let (plus, minus) = (|i: usize, j: usize| m[i][j] + m[j][i], |i: usize, j: usize| m[i][j] - m[j][i]);
    let numerators = match greatest {
        0 => [squares[0], minus(2, 1), minus(0, 2), minus(1, 0)],
        1 => [minus(2, 1), squares[1], plus(0, 1), plus(0, 2)],
        2 => [minus(0, 2), plus(0, 1), squares[2], plus(1, 2)],
        _ => [minus(1, 0), plus(0, 2), plus(1, 2), squares[3]],
    };
    let scale = 0.5 / squares[greatest].sqrt();
    numerators.map(|n| n * scale)
}
