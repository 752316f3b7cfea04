//! Turns: a turned scene looks to a turned camera as it looked before, whatever the turn, mirrored or not.

use grouping_core::seed::sequence;
use proptest::prelude::*;
use shapesplat::Splats;
use shapesplat::edit::{Action, apply};
use shapesplat::splats::frame::Frame;
use shapesplat::splats::harmonics::{HALF_TURN_ABOUT_Z, colour};
use shapesplat::splats::turn::Turn;
use shapesplat::splats::{Extra, Values};

/// A scene of `n` Gaussians with values in −1 to 1, quaternions of any length, and normals.
pub(crate) fn scene(n: usize, degree: usize, seed: u64) -> Splats {
    let mut place = 0..;
    let mut column = |scale: f32| -> Vec<f32> {
        let draw = |place: u64| (sequence(seed, place) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        place.by_ref().take(n).map(|place| scale * draw(place)).collect()
    };
    let mut columns = |scale: f32| [(); 3].map(|()| column(scale));
    let (positions, scales, dc, normals) = (columns(1.0), columns(4.0), columns(1.0), columns(1.0));
    let [a, b, c] = columns(0.01);
    let extras = ["nx", "ny", "nz"].into_iter().zip(normals);
    Splats {
        positions,
        scales,
        rotations: [a, b, c, column(0.01)],
        opacities: column(5.0),
        dc,
        rest: (0..3 * ((degree + 1) * (degree + 1) - 1)).map(|_| column(0.3)).collect(),
        extras: extras
            .map(|(name, values)| Extra { name: name.into(), values: Values::F32(values) })
            .collect(),
        ..Splats::default()
    }
}

pub(crate) fn row<const N: usize>(columns: &[Vec<f32>; N], row: usize) -> [f64; N] {
    std::array::from_fn(|i| f64::from(columns[i][row]))
}

/// `R·S²·Rᵀ` of a Gaussian.
pub(crate) fn covariance(splats: &Splats, i: usize) -> [[f64; 3]; 3] {
    let [w, x, y, z] = row(&splats.rotations, i);
    let s = 2.0 / (w * w + x * x + y * y + z * z);
    let r = [
        [1.0 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)],
        [s * (x * y + w * z), 1.0 - s * (x * x + z * z), s * (y * z - w * x)],
        [s * (x * z - w * y), s * (y * z + w * x), 1.0 - s * (x * x + y * y)],
    ];
    let squares = row(&splats.scales, i).map(|log| (2.0 * log).exp());
    std::array::from_fn(|a| std::array::from_fn(|b| (0..3).map(|k| r[a][k] * squares[k] * r[b][k]).sum()))
}

pub(crate) fn length(v: [f64; 3]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Asserts that `turned` is `splats` seen by who turned along.
fn assert_turned(splats: &Splats, turned: &Splats, turn: &Turn) {
    let m = turn.matrix();
    for i in 0..splats.len() {
        let (before, after) = (turn.point(row(&splats.positions, i)), row(&turned.positions, i));
        let off = length(std::array::from_fn(|k| before[k] - after[k]));
        assert!(off < 1e-6, "position {i} is {off} off");
        let (before, after) = (covariance(splats, i), covariance(turned, i));
        let scale: f64 = (0..3).map(|k| before[k][k]).sum();
        for a in 0..3 {
            for b in 0..3 {
                let terms = (0..9).map(|k| m[a][k / 3] * before[k / 3][k % 3] * m[b][k % 3]);
                let off = (terms.sum::<f64>() - after[a][b]).abs() / scale;
                assert!(off < 2e-6, "covariance {i} is {off} off");
            }
        }
        let raw = [3, 5, 7].map(|k| (sequence(i as u64, k) >> 11) as f64 / (1u64 << 52) as f64 - 1.0);
        let direction = raw.map(|v| v / length(raw));
        let (before, after) = (colour(splats, i, direction), colour(turned, i, turn.point(direction)));
        let off = length(std::array::from_fn(|k| before[k] - after[k]));
        assert!(off < 1e-6, "colour {i} is {off} off");
    }
    let normal = |splats: &Splats, i: usize| [0, 1, 2].map(|k| splats.extras[k].values.at(i));
    let (before, after) = (turn.point(normal(splats, 0)), normal(turned, 0));
    assert!(length(std::array::from_fn(|k| before[k] - after[k])) < 1e-6, "normals turn too");
}

fn any_frame() -> impl Strategy<Value = Frame> {
    (0usize..6, 0u8..8).prop_map(|(order, signs)| {
        let letters: Vec<char> = [['R', 'L'], ['U', 'D'], ['F', 'B']]
            .iter()
            .zip(0..)
            .map(|(p, i)| p[usize::from(signs >> i & 1)])
            .collect();
        let order = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]][order];
        order.map(|i| letters[i]).iter().collect::<String>().parse().expect("a frame")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_turned_scene_looks_the_same_to_a_turned_camera(
        degrees in prop::array::uniform3(-400f64..400.0), degree in 0usize..=4, seed in any::<u64>(),
    ) {
        let splats = scene(9, degree, seed);
        let turn = Turn::euler(degrees);
        let mut turned = splats.clone();
        apply(&mut turned, &[Action::Rotate(degrees)]).expect("a turn");
        assert_turned(&splats, &turned, &turn);
        turn.inverse().apply(&mut turned);
        let pairs = columns(&splats).zip(columns(&turned));
        for (i, (before, after)) in pairs.enumerate() {
            prop_assert!((before - after).abs() < 1e-6, "value {} came back as {}", i, after);
        }
    }

    #[test]
    fn another_frame_shows_the_same_scene(from in any_frame(), to in any_frame(), degree in 0usize..=4, seed in any::<u64>()) {
        let splats = scene(9, degree, seed);
        let turn = Turn::between(from, to);
        prop_assert_eq!(turn.reflects(), from.is_right_handed() != to.is_right_handed());
        let mut turned = splats.clone();
        let refused = apply(&mut turned, &[Action::Reframe { from, to, mirror: false }]);
        if turn.reflects() {
            prop_assert!(refused.expect_err("another handedness").to_string().contains("-handed"), "by handedness");
            prop_assert_eq!(&turned, &splats, "nothing is changed");
            apply(&mut turned, &[Action::Reframe { from, to, mirror: true }]).expect("as asked for");
        }
        assert_turned(&splats, &turned, &turn);
        turn.inverse().apply(&mut turned);
        prop_assert_eq!(&turned.positions, &splats.positions, "signs and places change exactly");
    }
}

/// All values of a scene that a turn changes.
fn columns(splats: &Splats) -> impl Iterator<Item = f32> {
    let columns = splats.positions.iter().chain(&splats.rotations).chain(&splats.rest);
    columns.flatten().copied()
}

#[test]
fn half_a_turn_about_z_changes_signs_alone() {
    let splats = scene(50, 4, 1);
    let mut turned = splats.clone();
    Turn::HALF_ABOUT_Z.apply(&mut turned);
    assert_turned(&splats, &turned, &Turn::HALF_ABOUT_Z);
    let negated = |column: &Vec<f32>| column.iter().map(|v| -v).collect::<Vec<_>>();
    let [x, y, z] = &splats.positions;
    assert_eq!(turned.positions, [negated(x), negated(y), z.clone()], "positions");
    let [w, x, y, z] = &splats.rotations;
    assert_eq!(
        turned.rotations,
        [negated(z), negated(y), x.clone(), w.clone()],
        "rotations, multiplied from the left"
    );
    for (i, (before, after)) in splats.rest.iter().zip(&turned.rest).enumerate() {
        let sign = HALF_TURN_ABOUT_Z[i % 24];
        let expected: Vec<f32> = before.iter().map(|c| sign * c).collect();
        assert_eq!(after, &expected, "coefficient {i}");
    }
    let euler = Turn::euler([0., 0., 180.]);
    assert_eq!(euler, Turn::HALF_ABOUT_Z, "180 degrees are exact");
}

#[test]
fn quarter_turns_are_exact() {
    for axis in 0..3 {
        for quarters in -8..8 {
            let turn = Turn::about(axis, 90.0 * f64::from(quarters));
            let entries = turn.matrix().iter().flatten();
            assert!(
                entries.clone().all(|m| [-1.0, 0.0, 1.0].contains(m)),
                "about {axis}: {:?}",
                turn.matrix()
            );
        }
    }
    let quarter = Turn::about(2, 90.0);
    assert_eq!(quarter.point([1., 0., 0.]), [0., 1., 0.], "x goes to y");
    let rdf_to_rub = Turn::between("RDF".parse().expect("a frame"), "RUB".parse().expect("a frame"));
    assert_eq!(rdf_to_rub, Turn::about(0, 180.0), "half a turn about x");
}
