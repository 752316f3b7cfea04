//! Nodes of a glTF scene: where each puts its mesh, and what that does to Gaussians.
//!
//! A node with those above it moves a point by `M·p + t`, and a Gaussian of rotation `Q` and deviations `S` to the covariance
//! `M·Q·S²·Qᵀ·Mᵀ` (`KHR_gaussian_splatting`, Splat Reconstruction). The extension asks that `M = R·D`: positive scales along the axes, and a
//! rotation after them, which turns spherical harmonics too. Where `D` is one factor its logarithm is added to those of the scales;
//! elsewhere the singular values of `D·Q·S` are the new deviations, and its left singular vectors, turned by `R`, the new axes.
//!
//! A matrix that mirrors, shears or flattens is none of these, and is refused.

use super::accessor::Glb;
use super::document::Node;
use crate::mesh::vector::{cross, dot, length, unit};
use crate::splats::harmonics::Wigner;
use crate::splats::turn::{Turn, map_rows};
use crate::{Result, Splats};

/// Cosines of angles between axes that are right ones but for the rounding of 32-bit matrices.
const RIGHT: f64 = 1e-4;
/// Relative differences of scales that are one but for rounding.
const UNIFORM: f64 = 1e-6;
/// Cosines below which columns count as orthogonal, and the most sweeps of rotations until they are.
const ORTHOGONAL: (f64, usize) = (1e-14, 30);

/// A mesh where the scene has it.
pub(super) struct Placed {
    pub(super) mesh: usize,
    /// The node that bears it; none where the file has no scene.
    pub(super) node: Option<usize>,
    pub(super) transform: Transform,
}

/// What nodes do to points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Transform {
    /// Columns of the matrix.
    columns: [[f64; 3]; 3],
    shift: [f64; 3],
}

/// A transform that Gaussians can follow: scales along the axes, a rotation, a shift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placement {
    transform: Transform,
    turn: Turn,
    scales: [f64; 3],
}

/// The meshes of the scene, ancestors first: of the file's own scene, or its first; all meshes, once each, where it has none.
pub(super) fn placed(glb: &Glb) -> Result<Vec<Placed>> {
    let document = &glb.document;
    let Some(scene) = document.scenes.get(document.scene.unwrap_or(0)) else {
        // A file without a scene is a library of meshes.
        let once = |mesh| Placed { mesh, node: None, transform: Transform::NONE };
        return Ok((0..document.meshes.len()).map(once).collect());
    };
    let mut placed = Vec::new();
    // A node has one parent, so each is met once; what is met again is a circle or a second parent.
    let mut met = vec![false; document.nodes.len()];
    let mut ahead: Vec<(usize, Transform)> =
        scene.nodes.iter().rev().map(|&node| (node, Transform::NONE)).collect();
    while let Some((index, around)) = ahead.pop() {
        let Some(node) = document.nodes.get(index) else {
            return Err(glb.error("nodes", format!("one of {} nodes", document.nodes.len()), index));
        };
        if std::mem::replace(&mut met[index], true) {
            return Err(glb.error(format!("nodes[{index}]"), "one parent", "several, or itself"));
        }
        let transform = Transform::of(node).within(&around);
        if let Some(mesh) = node.mesh {
            placed.push(Placed { mesh, node: Some(index), transform });
        }
        ahead.extend(node.children.iter().rev().map(|&child| (child, transform)));
    }
    Ok(placed)
}

impl Transform {
    const NONE: Self = Self { columns: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], shift: [0.0; 3] };

    /// A node's own: its matrix, or its scale, its rotation and its translation.
    fn of(node: &Node) -> Self {
        if let Some(matrix) = node.matrix {
            let column = |i: usize| [matrix[4 * i], matrix[4 * i + 1], matrix[4 * i + 2]];
            return Self { columns: [column(0), column(1), column(2)], shift: column(3) };
        }
        let [x, y, z, w] = node.rotation.unwrap_or([0.0, 0.0, 0.0, 1.0]);
        let turn = Turn::of_quaternion([w, x, y, z]).unwrap_or(Turn::NONE);
        let scale = node.scale.unwrap_or([1.0; 3]);
        let column = |j: usize| std::array::from_fn(|i| turn.matrix()[i][j] * scale[j]);
        Self { columns: std::array::from_fn(column), shift: node.translation.unwrap_or_default() }
    }

    /// This one, and the one around it after it.
    fn within(&self, around: &Self) -> Self {
        let shift = around.point(self.shift);
        Self { columns: self.columns.map(|column| around.direction(column)), shift }
    }

    fn direction(&self, v: [f64; 3]) -> [f64; 3] {
        // What is 0 adds nothing, whatever it is multiplied with.
        let terms = |i: usize| (0..3).map(move |j| (self.columns[j][i], v[j])).filter(|(m, _)| *m != 0.0);
        std::array::from_fn(|i| terms(i).map(|(m, v)| m * v).sum())
    }

    fn point(&self, p: [f64; 3]) -> [f64; 3] {
        let moved = self.direction(p);
        std::array::from_fn(|i| moved[i] + self.shift[i])
    }

    /// The rotation and the scales that it is made of.
    ///
    /// # Errors
    /// What it is instead, in words.
    pub(super) fn placement(&self) -> std::result::Result<Placement, &'static str> {
        let scales = self.columns.map(length);
        let [Some(a), Some(b), Some(c)] = self.columns.map(unit) else {
            return Err("a transform that flattens, or of numbers too great");
        };
        if self.shift.iter().any(|shift| !shift.is_finite()) {
            return Err("a translation too far");
        }
        if [dot(a, b), dot(b, c), dot(c, a)].iter().any(|cosine| cosine.abs() > RIGHT) {
            return Err("a transform that shears");
        }
        if dot(a, cross(b, c)) < 0.0 {
            return Err("a transform that mirrors");
        }
        let turn = Turn::nearest(&std::array::from_fn(|i| [a[i], b[i], c[i]]));
        Ok(Placement { transform: *self, turn, scales })
    }
}

impl Placement {
    pub(super) const NONE: Self = Self { transform: Transform::NONE, turn: Turn::NONE, scales: [1.0; 3] };

    /// Moves, turns and scales splats.
    pub(super) fn apply(&self, splats: &mut Splats) {
        if self.transform == Transform::NONE {
            return;
        }
        map_rows(&mut splats.positions, |p| self.transform.point(p));
        let [least, greatest] =
            [f64::min, f64::max].map(|of| self.scales.into_iter().reduce(of).unwrap_or(1.0));
        if greatest - least > UNIFORM * greatest {
            self.stretch(splats);
        } else {
            let shift = self.scales.iter().map(|scale| scale.ln()).sum::<f64>() / 3.0;
            if shift != 0.0 {
                map_rows(&mut splats.scales, |logs| logs.map(|log| log + shift));
            }
            if self.turn != Turn::NONE {
                map_rows(&mut splats.rotations, |q| self.turn.rotation(q));
            }
        }
        if !splats.rest.is_empty() && self.turn != Turn::NONE {
            Wigner::new(self.turn.matrix()).apply(splats);
        }
    }

    /// Scales along the axes of the node by different factors, and turns.
    fn stretch(&self, splats: &mut Splats) {
        let mut places: Vec<&mut Vec<f32>> = splats.scales.iter_mut().chain(&mut splats.rotations).collect();
        let mut columns: [Vec<f32>; 7] = std::array::from_fn(|i| std::mem::take(places[i]));
        map_rows(&mut columns, |row| self.stretched(row));
        places.into_iter().zip(columns).for_each(|(place, column)| *place = column);
    }

    /// The logarithms of the deviations, and the quaternion, of one Gaussian.
    fn stretched(&self, row: [f64; 7]) -> [f64; 7] {
        let [a, b, c, w, x, y, z] = row;
        // A rotation of zeros stays one, to be refused or dropped.
        let Some(turn) = Turn::of_quaternion([w, x, y, z]) else { return row };
        let (matrix, deviations) = (turn.matrix(), [a, b, c].map(f64::exp));
        let mut columns: [[f64; 3]; 3] =
            std::array::from_fn(|j| std::array::from_fn(|i| self.scales[i] * matrix[i][j] * deviations[j]));
        orthogonalise(&mut columns);
        let [a, b, c] = columns.map(|column| length(column).ln());
        let axes = frame(&columns);
        let turn = Turn::nearest(&std::array::from_fn(|i| axes.map(|axis| axis[i])));
        let [w, x, y, z] = self.turn.rotation(turn.rotation([1.0, 0.0, 0.0, 0.0]));
        [a, b, c, w, x, y, z]
    }
}

/// Turns columns among themselves until they are at right angles (Hestenes 1958): their lengths are the singular values then.
fn orthogonalise(columns: &mut [[f64; 3]; 3]) {
    let (cosine, sweeps) = ORTHOGONAL;
    for _ in 0..sweeps {
        let mut is_done = true;
        for (i, j) in [(0, 1), (0, 2), (1, 2)] {
            let (p, q) = (columns[i], columns[j]);
            let (pp, qq, pq) = (dot(p, p), dot(q, q), dot(p, q));
            if pq.abs() <= cosine * (pp * qq).sqrt() {
                continue;
            }
            is_done = false;
            let zeta = (qq - pp) / (2.0 * pq);
            let tan = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
            let cos = 1.0 / (1.0 + tan * tan).sqrt();
            let sin = cos * tan;
            columns[i] = std::array::from_fn(|k| cos * p[k] - sin * q[k]);
            columns[j] = std::array::from_fn(|k| sin * p[k] + cos * q[k]);
        }
        if is_done {
            break;
        }
    }
}

/// Three axes of a right hand along orthogonal columns, those without a length along what is left.
fn frame(columns: &[[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let across = |axis: [f64; 3]| {
        // The coordinate axis that is furthest from it.
        let least = (0..3).min_by(|&i, &j| axis[i].abs().total_cmp(&axis[j].abs())).unwrap_or(0);
        let other = std::array::from_fn(|i| if i == least { 1.0 } else { 0.0 });
        unit(cross(axis, other)).unwrap_or(other)
    };
    match columns.map(unit) {
        [Some(a), Some(b), _] => [a, b, cross(a, b)],
        [Some(a), None, Some(c)] => [a, cross(c, a), c],
        [None, Some(b), Some(c)] => [cross(b, c), b, c],
        [Some(a), None, None] => [a, across(a), cross(a, across(a))],
        [None, Some(b), None] => [across(b), b, cross(across(b), b)],
        [None, None, Some(c)] => [across(c), cross(c, across(c)), c],
        [None, None, None] => Transform::NONE.columns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_to_right_angles_whatever_their_lengths() {
        for scale in [1.0, 1e-6, 1e-30, 0.0] {
            let given = [[1.0, 2.0, 3.0], [-2.0, 0.5, 1.0].map(|x: f64| scale * x), [0.3, 0.3, -0.1]];
            let mut columns = given;
            orthogonalise(&mut columns);
            for (i, j) in [(0, 1), (0, 2), (1, 2)] {
                let cosine = dot(columns[i], columns[j]) / (length(columns[i]) * length(columns[j]));
                // A column of zeros is at any angle.
                let is_right = cosine.is_nan() || cosine.abs() < 1e-13;
                assert!(is_right, "{scale}: columns {i} and {j} at a cosine of {cosine}");
            }
            // A·Aᵀ is what it was.
            for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
                let product = |m: &[[f64; 3]; 3]| m.iter().map(|column| column[i] * column[j]).sum::<f64>();
                let (before, after) = (product(&given), product(&columns));
                assert!((before - after).abs() < 1e-13, "{scale}: entry {i} {j} is {after}, not {before}");
            }
            let [a, b, c] = frame(&columns);
            let volume = dot(a, cross(b, c));
            assert!(
                (volume - 1.0).abs() < 1e-12,
                "{scale}: axes of a right hand, and not of volume {volume}"
            );
        }
    }

    #[test]
    fn what_has_no_extent_has_axes() {
        let x = [2.0, 0.0, 0.0];
        for columns in
            [[x, [0.0; 3], [0.0; 3]], [[0.0; 3], x, [0.0; 3]], [[0.0; 3], [0.0; 3], x], [[0.0; 3]; 3]]
        {
            let [a, b, c] = frame(&columns);
            let volume = dot(a, cross(b, c));
            assert!((volume - 1.0).abs() < 1e-12, "{columns:?}: axes of volume {volume}");
        }
    }
}
