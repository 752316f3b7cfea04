//! Edits: as splat-transform 3.7.0 does them (`oracles/shapesplat/edit.py`), and what they promise.

use std::collections::BTreeMap;

use grouping_core::testing::assert_refused;
use proptest::prelude::*;
use serde::Deserialize;
use shapesplat::Splats;
use shapesplat::edit::{Action, Amount, apply, importance, merge};
use shapesplat::splats::Values;

use crate::turns::scene;

#[derive(Deserialize)]
struct Golden {
    scene: BTreeMap<String, Vec<f32>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    actions: String,
    names: Vec<String>,
    columns: BTreeMap<String, Vec<f32>>,
}

fn columns_of<const N: usize>(columns: &BTreeMap<String, Vec<f32>>, prefix: &str) -> [Vec<f32>; N] {
    std::array::from_fn(|i| columns[&format!("{prefix}{i}")].clone())
}

fn of_columns(columns: &BTreeMap<String, Vec<f32>>) -> Splats {
    Splats {
        positions: ["x", "y", "z"].map(|name| columns[name].clone()),
        scales: columns_of(columns, "scale_"),
        rotations: columns_of(columns, "rot_"),
        opacities: columns["opacity"].clone(),
        dc: columns_of(columns, "f_dc_"),
        rest: (0..45).map(|i| columns[&format!("f_rest_{i}")].clone()).collect(),
        ..Splats::default()
    }
}

fn column<'a>(splats: &'a Splats, name: &str) -> &'a [f32] {
    let place = || name.rsplit('_').next().and_then(|index| index.parse::<usize>().ok()).expect("an index");
    match name {
        "x" => &splats.positions[0],
        "y" => &splats.positions[1],
        "z" => &splats.positions[2],
        "opacity" => &splats.opacities,
        _ if name.starts_with("scale") => &splats.scales[place()],
        _ if name.starts_with("rot") => &splats.rotations[place()],
        _ if name.starts_with("f_dc") => &splats.dc[place()],
        _ => &splats.rest[place()],
    }
}

fn action(text: &str) -> Action {
    let (word, value) = text.trim().split_once(' ').expect("a word and a value");
    let vector = || -> [f64; 3] {
        let numbers: Vec<f64> = value.split(',').map(|number| number.parse().expect("a number")).collect();
        numbers.try_into().expect("three numbers")
    };
    match word {
        "rotate" => Action::Rotate(vector()),
        "translate" => Action::Translate(vector()),
        "scale" => Action::Scale(value.parse().expect("a factor")),
        "degree" => Action::Degree(value.parse().expect("a degree")),
        _ => Action::Filter(value.parse().expect("a filter")),
    }
}

#[test]
fn edits_are_those_of_splat_transform() {
    let golden: Golden =
        serde_json::from_str(include_str!("../data/edit.json")).expect("the golden file parses");
    for case in golden.cases {
        let mut splats = of_columns(&golden.scene);
        let actions: Vec<Action> = case.actions.split(';').map(action).collect();
        let changes = apply(&mut splats, &actions).expect("edits");
        assert_eq!(changes.len(), actions.len(), "{}: a change an action", case.actions);
        for name in &case.names {
            let Some(expected) = case.columns.get(name) else {
                if !case.actions.starts_with("filter") {
                    assert_eq!(column(&splats, name), golden.scene[name], "{}: {name} stays", case.actions);
                }
                continue;
            };
            let found = column(&splats, name);
            assert_eq!(found.len(), expected.len(), "{}: rows", case.actions);
            // Quaternions of either sign are one rotation.
            let sign = |row: usize| {
                let rotations =
                    || (0..4).map(|i| format!("rot_{i}")).filter(|name| case.columns.contains_key(name));
                let dot: f32 = rotations().map(|n| column(&splats, &n)[row] * case.columns[&n][row]).sum();
                if name.starts_with("rot") { dot.signum() } else { 1.0 }
            };
            for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
                let off = (found - sign(row) * expected).abs();
                assert!(off < 5e-6, "{}: {name} of row {row} is {found} instead of {expected}", case.actions);
            }
        }
        let n_columns = 14 + splats.rest.len();
        assert_eq!(n_columns, case.names.len(), "{}: columns", case.actions);
    }
}

fn degrees() -> impl Strategy<Value = usize> {
    0usize..=4
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn resizing_keeps_the_picture(factor in 0.01f64..100.0, seed in any::<u64>()) {
        let splats = scene(9, 1, seed);
        let mut other = splats.clone();
        apply(&mut other, &[Action::Scale(factor), Action::Scale(1.0 / factor)]).expect("edits");
        for (before, after) in splats.positions.iter().chain(&splats.scales).flatten().zip(other.positions.iter().chain(&other.scales).flatten()) {
            prop_assert!((before - after).abs() < 4e-6, "{} came back as {}", before, after);
        }
        prop_assert_eq!(&splats.rotations, &other.rotations, "rotations stay");
        prop_assert_eq!(&splats.rest, &other.rest, "harmonics stay");
    }

    #[test]
    fn the_most_important_are_kept_in_their_order(n in 1usize..60, wanted in 1usize..80, seed in any::<u64>()) {
        let splats = scene(n, 1, seed);
        let mut kept = splats.clone();
        let change = apply(&mut kept, &[Action::Keep(Amount::Count(wanted))]).expect("edits");
        prop_assert_eq!(kept.len(), wanted.min(n));
        prop_assert_eq!((change[0].before, change[0].after), (n, wanted.min(n)));
        let (all, of_kept) = (importance(&splats), importance(&kept));
        let least = of_kept.iter().copied().fold(f64::INFINITY, f64::min);
        prop_assert_eq!(all.iter().filter(|&&score| score > least).count(), of_kept.iter().filter(|&&score| score > least).count());
        let mut places = splats.opacities.iter();
        prop_assert!(kept.opacities.iter().all(|kept| places.any(|all| all == kept)), "in their order");
    }

    #[test]
    fn merged_scenes_hold_each_other(a in degrees(), b in degrees(), seed in any::<u64>()) {
        let (first, second) = (scene(5, a, seed), scene(7, b, seed ^ 1));
        let merged = merge(vec![first.clone(), second.clone()]).expect("a scene");
        prop_assert_eq!(merged.splats.len(), 12);
        prop_assert_eq!(merged.splats.degree(), a.max(b));
        prop_assert_eq!(merged.notes.len(), usize::from(a != b), "zeros are said: {:?}", merged.notes);
        let mut one = merged.splats.clone();
        one.retain_rows(&[[true; 5].as_slice(), &[false; 7]].concat());
        let mut lower = one.clone();
        apply(&mut lower, &[Action::Degree(a)]).expect("edits");
        prop_assert_eq!(&lower, &first, "the first scene");
        prop_assert!(one.rest.len() == first.rest.len() || one.rest.iter().flatten().filter(|&&c| c == 0.0).count() >= 5, "zeros");
        let mut other = merged.splats;
        other.retain_rows(&[[false; 5].as_slice(), &[true; 7]].concat());
        apply(&mut other, &[Action::Degree(b)]).expect("edits");
        prop_assert_eq!(&other, &second, "the second scene");
    }
}

#[test]
fn a_lower_degree_keeps_each_channels_first_coefficients() {
    let splats = scene(4, 3, 2);
    let mut lower = splats.clone();
    apply(&mut lower, &[Action::Degree(2)]).expect("edits");
    let expected: Vec<&Vec<f32>> =
        splats.rest.iter().enumerate().filter(|(i, _)| i % 15 < 8).map(|(_, column)| column).collect();
    assert_eq!(lower.rest.iter().collect::<Vec<_>>(), expected, "8 of 15 of each channel");
    apply(&mut lower, &[Action::Degree(4)]).expect("edits");
    assert_eq!(lower.degree(), 2, "no degree is made up");
}

#[test]
fn extreme_values_stay_what_they_are() {
    let mut splats = scene(3, 0, 4);
    splats.opacities = vec![f32::INFINITY, f32::NEG_INFINITY, 0.0];
    splats.scales = [vec![0.0, 1.0, f32::NEG_INFINITY], vec![0.0; 3], vec![0.0; 3]];
    assert_eq!(importance(&splats), [3f64.sqrt(), 0.0, 0.5], "alpha 1, alpha 0, flat");
    apply(&mut splats, &[Action::Scale(2.0)]).expect("edits");
    assert_eq!(splats.scales[0][2], f32::NEG_INFINITY, "flat stays flat");
    apply(&mut splats, &[Action::Filter("opacity==1".parse().expect("a filter"))]).expect("edits");
    assert_eq!(splats.opacities, [f32::INFINITY], "alpha 1");
}

#[test]
fn further_columns_are_filtered_and_merged() {
    let mut one = scene(4, 0, 5);
    one.extras[0].name = "label".into();
    one.extras[0].values = Values::U8(vec![3, 1, 3, 2]);
    let other = scene(2, 0, 6);
    let mut filtered = one.clone();
    apply(&mut filtered, &[Action::Filter("label == 3 && ny > -2".parse().expect("a filter"))])
        .expect("edits");
    assert_eq!(filtered.extras[0].values, Values::U8(vec![3, 3]), "those of label 3");

    let merged = merge(vec![one.clone(), other.clone()]).expect("a scene");
    let names: Vec<&str> = merged.splats.extras.iter().map(|extra| &*extra.name).collect();
    assert_eq!(names, ["label", "ny", "nz", "nx"], "all of them");
    assert_eq!(merged.splats.extras[0].values, Values::U8(vec![3, 1, 3, 2, 0, 0]), "zeros for the second");
    assert_eq!(merged.notes.len(), 2, "which is said: {:?}", merged.notes);
    assert!(merged.notes[0].contains("`label`: zeros for 1 of 2"), "{:?}", merged.notes);

    let mut conflicting = other;
    conflicting.extras[0].name = "label".into();
    assert_refused(
        merge(vec![one, conflicting]),
        "column `label` of one type in all of them, as uchar in the first, found float",
    );
    assert_refused(merge(vec![]), "at least one scene");
}

#[test]
fn flags_that_differ_are_said() {
    let flagged = |flag| Splats { antialiased: flag, comments: vec!["a".into()], ..scene(1, 0, 7) };
    let merged = merge(vec![flagged(Some(true)), flagged(Some(true))]).expect("a scene");
    assert_eq!((merged.splats.antialiased, merged.notes.len()), (Some(true), 0), "the same");
    assert_eq!(merged.splats.comments, ["a"], "each comment once");
    let merged = merge(vec![flagged(Some(true)), flagged(None)]).expect("a scene");
    assert_eq!(merged.splats.antialiased, None, "unknown");
    assert!(merged.notes[0].contains("antialiasing"), "{:?}", merged.notes);
}

#[test]
fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let splats = scene(5, 1, 8);
    let refuse = |action: Action, words: &str| {
        let mut edited = splats.clone();
        assert_refused(apply(&mut edited, &[action]), words);
        assert_eq!(edited, splats, "nothing is changed");
    };
    refuse(Action::Scale(0.0), "scale: expected a finite factor above 0");
    refuse(Action::Scale(f64::NAN), "scale: expected a finite factor above 0");
    refuse(Action::Translate([0., f64::INFINITY, 0.]), "translate: expected finite numbers");
    refuse(Action::Rotate([f64::NAN; 3]), "rotate: expected finite numbers");
    refuse(Action::Keep(Amount::Count(0)), "keep: expected at least 1");
    refuse(Action::Keep(Amount::Share(1.5)), "keep: expected more than 0 and at most 100 %");
    refuse(Action::Filter("colour>0".parse().expect("a filter")), "filter: expected a column of the scene");
    refuse(Action::Filter("x>5".parse().expect("a filter")), "which none of 5 meets");
    refuse(
        Action::Filter("x>5".parse().expect("a filter")),
        "filter: expected a condition that some Gaussian meets",
    );
    for text in ["", "0", "-1", "1.5", "0%", "101%", "nan%"] {
        assert_refused(text.parse::<Amount>(), "keep: expected");
    }
    assert_eq!("50%".parse::<Amount>().expect("a share"), Amount::Share(0.5), "half");
}
