//! Nodes of a glTF scene with their places: each node's transform after its ancestors'.

use std::path::Path;

use gltf::json::Root;
use gltf::json::scene::Node;

use crate::mesh::vector::{cross, dot, unit};
use crate::{Error, Result};

/// A node of the scene.
pub(super) struct Placed {
    /// Its index.
    pub(super) node: usize,
    /// Columns of the linear part, then the translation.
    columns: [[f64; 3]; 4],
    /// Whether the linear part mirrors.
    pub(super) is_mirrored: bool,
}

impl Placed {
    fn new(node: usize, columns: [[f64; 3]; 4]) -> Self {
        let [x, y, z, _] = columns;
        Self { node, columns, is_mirrored: dot(x, cross(y, z)) < 0.0 }
    }

    pub(super) fn point(&self, point: [f64; 3]) -> [f64; 3] {
        let moved = linear(&self.columns, point);
        std::array::from_fn(|i| moved[i] + self.columns[3][i])
    }

    /// The direction of a normal, of length 1; zero where there is none.
    pub(super) fn normal(&self, normal: [f64; 3]) -> [f32; 3] {
        let [x, y, z, _] = self.columns;
        let sign = if self.is_mirrored { -1.0 } else { 1.0 };
        // The transposed inverse, up to a factor above zero.
        let cofactors = [cross(y, z), cross(z, x), cross(x, y), [0.0; 3]];
        unit(linear(&cofactors, normal).map(|x| sign * x)).unwrap_or_default().map(|x| x as f32)
    }
}

fn linear(columns: &[[f64; 3]; 4], v: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|i| columns[0][i] * v[0] + columns[1][i] * v[1] + columns[2][i] * v[2])
}

/// The nodes of the scene: the file's own, or its first, or all where it has none; ancestors first.
pub(super) fn placed(root: &Root, path: &Path) -> Result<Vec<Placed>> {
    let scene = root.scene.map_or(0, |scene| scene.value());
    let tops: Vec<usize> = match root.scenes.get(scene) {
        Some(scene) => scene.nodes.iter().map(|node| node.value()).collect(),
        None => {
            let mut is_child = vec![false; root.nodes.len()];
            for child in root.nodes.iter().flat_map(|node| node.children.iter().flatten()) {
                is_child[child.value()] = true;
            }
            (0..root.nodes.len()).filter(|&node| !is_child[node]).collect()
        }
    };
    let mut is_seen = vec![false; root.nodes.len()];
    let identity = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0; 3]];
    let mut stack: Vec<(usize, [[f64; 3]; 4])> = tops.iter().rev().map(|&node| (node, identity)).collect();
    let mut placed = vec![];
    while let Some((index, around)) = stack.pop() {
        if std::mem::replace(&mut is_seen[index], true) {
            return Err(Error::format(path, format!("nodes[{index}]"), "one parent at most", "several"));
        }
        let node = &root.nodes[index];
        let own = transform(node);
        let mut columns = own.map(|column| linear(&around, column));
        for (x, shift) in columns[3].iter_mut().zip(around[3]) {
            *x += shift;
        }
        let children = node.children.iter().flatten().rev();
        stack.extend(children.map(|child| (child.value(), columns)));
        placed.push(Placed::new(index, columns));
    }
    Ok(placed)
}

/// A node's own transform.
fn transform(node: &Node) -> [[f64; 3]; 4] {
    if let Some(matrix) = node.matrix {
        let (columns, _) = matrix.as_chunks::<4>();
        return std::array::from_fn(|i| [columns[i][0], columns[i][1], columns[i][2]].map(f64::from));
    }
    let scale = node.scale.unwrap_or([1.0; 3]).map(f64::from);
    let shift = node.translation.unwrap_or_default().map(f64::from);
    let [x, y, z, w] = node.rotation.unwrap_or_default().0.map(f64::from);
    let norm = x * x + y * y + z * z + w * w;
    let s = if norm > 0.0 { 2.0 / norm } else { 0.0 };
    let rotation = [
        [1.0 - s * (y * y + z * z), s * (x * y + z * w), s * (x * z - y * w)],
        [s * (x * y - z * w), 1.0 - s * (x * x + z * z), s * (y * z + x * w)],
        [s * (x * z + y * w), s * (y * z - x * w), 1.0 - s * (x * x + y * y)],
    ];
    let scaled = |i: usize| rotation[i].map(|x| x * scale[i]);
    [scaled(0), scaled(1), scaled(2), shift]
}
