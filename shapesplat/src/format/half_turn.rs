//! Half turns about an axis of the frame: what the frames of formats differ by.
//!
//! Positions and rotations turn, and so do spherical harmonics: a function of the basis keeps its value or changes its sign, by how many of
//! the turned coordinates it is odd in.

use crate::Splats;

/// The axis of a half turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    /// y and z change their signs.
    X,
    /// x and z change their signs.
    Y,
    /// x and y change their signs.
    Z,
}

/// The coordinates in which each function above degree 0 is odd: 1 for x, 2 for y, 4 for z; degree 1, then 2 …, each from `m = −l`.
const ODD: [u8; 24] = [
    2, 4, 1, // y, z, x
    3, 6, 0, 5, 0, // xy, yz, z², xz, x² − y²
    2, 7, 2, 4, 1, 4, 1, // y, xyz, y, z, x, z, x, times what is even
    3, 6, 3, 6, 0, 5, 0, 5, 0, // xy, yz, xy, yz, 1, xz, 1, xz, 1, times what is even
];

impl Axis {
    /// The signs of x, y and z.
    pub(super) fn signs(self) -> [f32; 3] {
        match self {
            Self::X => [1.0, -1.0, -1.0],
            Self::Y => [-1.0, 1.0, -1.0],
            Self::Z => [-1.0, -1.0, 1.0],
        }
    }

    /// The sign of the `k`-th coefficient above degree 0.
    pub(super) fn coefficient_sign(self, k: usize) -> f32 {
        let signs = self.signs();
        (0..3).filter(|axis| ODD[k] >> axis & 1 == 1).map(|axis| signs[axis]).product()
    }

    /// The quaternion w, x, y, z that turns by it first and by the half turn then.
    pub(super) fn turn(self, [w, x, y, z]: [f32; 4]) -> [f32; 4] {
        match self {
            Self::X => [-x, w, -z, y],
            Self::Y => [-y, z, w, -x],
            Self::Z => [-z, -y, x, w],
        }
    }

    /// Undoes [`Axis::turn`].
    pub(super) fn turn_back(self, quaternion: [f32; 4]) -> [f32; 4] {
        self.turn(quaternion).map(|part| -part)
    }

    /// Undoes the half turn of all that was turned.
    pub(super) fn turn_all_back(self, splats: &mut Splats) {
        for (column, sign) in splats.positions.iter_mut().zip(self.signs()) {
            negate_if(sign < 0.0, column);
        }
        for row in 0..splats.len() {
            let turned = self.turn_back(splats.rotations.each_ref().map(|part| part[row]));
            for (column, value) in splats.rotations.iter_mut().zip(turned) {
                column[row] = value;
            }
        }
        let a_channel = (splats.rest.len() / 3).max(1);
        for (i, column) in splats.rest.iter_mut().enumerate() {
            negate_if(self.coefficient_sign(i % a_channel) < 0.0, column);
        }
    }
}

fn negate_if(negates: bool, column: &mut [f32]) {
    if negates {
        column.iter_mut().for_each(|v| *v = -*v);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The functions above degree 0 without their constants, in the order of the coefficients.
    fn basis([x, y, z]: [f64; 3]) -> [f64; 24] {
        let (xx, yy, zz) = (x * x, y * y, z * z);
        let one = xx + yy + zz;
        [
            y,
            z,
            x,
            x * y,
            y * z,
            2.0 * zz - xx - yy,
            x * z,
            xx - yy,
            y * (3.0 * xx - yy),
            x * y * z,
            y * (4.0 * zz - xx - yy),
            z * (2.0 * zz - 3.0 * xx - 3.0 * yy),
            x * (4.0 * zz - xx - yy),
            z * (xx - yy),
            x * (xx - 3.0 * yy),
            x * y * (xx - yy),
            y * z * (3.0 * xx - yy),
            x * y * (7.0 * zz - one),
            y * z * (7.0 * zz - 3.0 * one),
            35.0 * zz * zz - 30.0 * zz * one + 3.0 * one * one,
            x * z * (7.0 * zz - 3.0 * one),
            (xx - yy) * (7.0 * zz - one),
            x * z * (xx - 3.0 * yy),
            xx * (xx - 3.0 * yy) - yy * (3.0 * xx - yy),
        ]
    }

    #[test]
    fn coefficients_follow_the_basis() {
        let direction = [0.3, -0.7, 0.648];
        for axis in [Axis::X, Axis::Y, Axis::Z] {
            let signs = axis.signs().map(f64::from);
            let turned = std::array::from_fn(|i| direction[i] * signs[i]);
            for (k, (a, b)) in basis(direction).into_iter().zip(basis(turned)).enumerate() {
                let sign = f64::from(axis.coefficient_sign(k));
                assert!((b - sign * a).abs() < 1e-12, "{axis:?}, coefficient {k}: {a} becomes {b}");
            }
        }
    }

    #[test]
    fn quaternions_turn_as_vectors_do() {
        let turn = |[w, x, y, z]: [f32; 4], v: [f32; 3]| {
            // v + 2w(q × v) + 2q × (q × v)
            let cross = |a: [f32; 3], b: [f32; 3]| {
                [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
            };
            let (q, once) = ([x, y, z], cross([x, y, z], v));
            let twice = cross(q, once);
            std::array::from_fn::<f32, 3, _>(|i| v[i] + 2.0 * w * once[i] + 2.0 * twice[i])
        };
        let q = [0.5, -0.1, 0.7, 0.5f32];
        let length = q.iter().map(|v| v * v).sum::<f32>().sqrt();
        let q = q.map(|v| v / length);
        for axis in [Axis::X, Axis::Y, Axis::Z] {
            let (direct, turned) = (turn(q, [1.0, 2.0, 3.0]), turn(axis.turn(q), [1.0, 2.0, 3.0]));
            for (i, sign) in axis.signs().into_iter().enumerate() {
                assert!((turned[i] - sign * direct[i]).abs() < 1e-5, "{axis:?}: {direct:?}, {turned:?}");
            }
            assert_eq!(axis.turn_back(axis.turn(q)), q, "{axis:?} and back");
        }
    }
}
