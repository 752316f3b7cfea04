//! Splats of a `.glb` whose nodes move, turn and scale them: means and covariances are those of the specification's formula.

use std::fs;
use std::path::Path;

use grouping_core::files::output::Existing;
use proptest::prelude::*;
use serde_json::{Value, json};
use shapesplat::Splats;
use shapesplat::format::{self, WriteOptions};
use shapesplat::splats::Bad;
use shapesplat::splats::harmonics::colour;
use shapesplat::splats::turn::Turn;

use crate::turns::{covariance, length, row, scene};

/// What is read of a `.glb` of these splats with these nodes, the first of which are the scene's.
fn placed(splats: &Splats, nodes: Value, n_tops: usize) -> Splats {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plain.glb");
    format::write(splats, &path, Existing::Refuse, &WriteOptions::default()).expect("written");
    let bytes = fs::read(&path).expect("a file");
    let length = u32::from_le_bytes(bytes[12..16].try_into().expect("four bytes")) as usize;
    let (json, binary) = bytes[20..].split_at(length);
    let mut document: Value = serde_json::from_slice(json).expect("JSON");
    document["nodes"] = nodes;
    document["scenes"][0]["nodes"] = (0..n_tops).collect();
    let mut json = serde_json::to_vec(&document).expect("JSON");
    json.resize(json.len().next_multiple_of(4), b' ');
    let mut file = b"glTF\x02\0\0\0".to_vec();
    file.extend(((20 + json.len() + binary.len()) as u32).to_le_bytes());
    file.extend((json.len() as u32).to_le_bytes());
    file.extend(b"JSON");
    file.extend(json);
    file.extend(binary);
    format::load_bytes(&file, Path::new("placed.glb"), Bad::Refuse).expect("read").splats
}

type Matrix = [[f64; 3]; 3];

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
}

fn applied(m: &Matrix, v: [f64; 3]) -> [f64; 3] {
    m.map(|row| row.iter().zip(v).map(|(m, v)| m * v).sum())
}

/// A matrix of glTF's frame in PLY's: half a turn about z before and after it.
fn in_ply(m: &Matrix) -> Matrix {
    let half = Turn::HALF_ABOUT_Z;
    product(half.matrix(), &product(m, half.matrix()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gaussians_follow_their_nodes(
        first in prop::array::uniform4(-1f64..1.0),
        second in prop::array::uniform4(-1f64..1.0),
        shifts in prop::array::uniform6(-5f64..5.0),
        factor in 0.05f64..20.0,
        stretch in prop::option::of(prop::array::uniform3(0.1f64..4.0)),
        degree in 0usize..=3,
        seed in any::<u64>(),
    ) {
        let turns = [first, second].map(|q| Turn::of_quaternion(q).expect("a length"));
        let [a, b, c, d, e, f] = shifts;
        let [w, x, y, z] = first;
        let norm = first.iter().map(|q| q * q).sum::<f64>().sqrt();
        let m = turns[1].matrix();
        let diagonal = stretch.unwrap_or([1.0; 3]);
        // Column by column.
        let matrix: Vec<f64> = (0..3).flat_map(|j| [m[0][j], m[1][j], m[2][j], 0.0]).chain([d, e, f, 1.0]).collect();
        let nodes = json!([
            {"children": [1], "rotation": [x / norm, y / norm, z / norm, w / norm], "translation": [a, b, c]},
            {"children": [2], "scale": [factor, factor, factor]},
            {"children": [3], "matrix": matrix},
            {"mesh": 0, "scale": diagonal},
        ]);
        let splats = scene(9, degree, seed);
        let found = placed(&splats, nodes, 1);
        let turn = in_ply(&product(turns[0].matrix(), turns[1].matrix()));
        let scales: Matrix = std::array::from_fn(|i| std::array::from_fn(|j| if i == j { factor * diagonal[i] } else { 0.0 }));
        let whole = product(&turn, &in_ply(&scales));
        let inner = applied(turns[0].matrix(), [factor * d, factor * e, factor * f]);
        let shift = Turn::HALF_ABOUT_Z.point([inner[0] + a, inner[1] + b, inner[2] + c]);
        for i in 0..splats.len() {
            let mean = applied(&whole, row(&splats.positions, i));
            let (expected, after): ([f64; 3], [f64; 3]) = (std::array::from_fn(|k| mean[k] + shift[k]), row(&found.positions, i));
            let off = length(std::array::from_fn(|k| expected[k] - after[k]));
            prop_assert!(off < 1e-6 * (length(mean) + length(shift)), "mean {} is {} off", i, off);
            let transposed: Matrix = std::array::from_fn(|a| std::array::from_fn(|b| whole[b][a]));
            let expected = product(&product(&whole, &covariance(&splats, i)), &transposed);
            let after = covariance(&found, i);
            let extent: f64 = (0..3).map(|k| expected[k][k]).sum();
            for (a, b) in (0..3).flat_map(|a| (0..3).map(move |b| (a, b))) {
                let off = (expected[a][b] - after[a][b]).abs() / extent;
                prop_assert!(off < 1e-5, "covariance {} is {} off", i, off);
            }
            let direction = [0.6, -0.48, 0.64];
            let (before, after) = (colour(&splats, i, direction), colour(&found, i, applied(&turn, direction)));
            let off = length(std::array::from_fn(|k| before[k] - after[k]));
            prop_assert!(off < 1e-5, "colour {} is {} off", i, off);
        }
    }
}

#[test]
fn what_a_node_leaves_alone_stays_bit_by_bit() {
    let splats = scene(20, 3, 5);
    let plain = placed(&splats, json!([{"mesh": 0}]), 1);
    let unit = json!([{"mesh": 0, "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]}]);
    assert_eq!(placed(&splats, unit, 1), plain, "the matrix of nothing");
    let moved = placed(&splats, json!([{"mesh": 0, "translation": [0, 0, 8]}]), 1);
    let z: Vec<f32> = plain.positions[2].iter().map(|z| (f64::from(*z) + 8.0) as f32).collect();
    let [x, y, _] = plain.positions.clone();
    assert_eq!(moved, Splats { positions: [x, y, z], ..plain.clone() }, "a shift changes positions alone");
    let turned = placed(&splats, json!([{"mesh": 0, "rotation": [0, 0, 1, 0]}]), 1);
    assert_eq!(turned.scales, plain.scales, "a turn leaves scales");
    let mut back = turned.clone();
    Turn::HALF_ABOUT_Z.inverse().apply(&mut back);
    assert_eq!((&back.positions, &back.rest), (&plain.positions, &plain.rest), "half a turn is exact");
}

#[test]
fn a_mesh_of_several_nodes_is_there_as_often() {
    let splats = scene(7, 1, 6);
    let nodes = json!([{"mesh": 0}, {"children": [2], "scale": [2, 2, 2]}, {"mesh": 0}]);
    let found = placed(&splats, nodes, 2);
    let plain = placed(&splats, json!([{"mesh": 0}]), 1);
    assert_eq!(found.len(), 14, "twice");
    assert_eq!(found.positions[0][..7], plain.positions[0][..], "once where it is");
    let doubled: Vec<f32> = plain.positions[0].iter().map(|x| 2.0 * x).collect();
    assert_eq!(found.positions[0][7..], doubled[..], "and once scaled");
}
