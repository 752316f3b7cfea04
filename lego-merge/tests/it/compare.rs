//! Comparing adapters: against updates formed densely, at known angles, and as a command.

use grouping_core::matrix::Matrix;
use lego_merge::adapter::{Adapter, AdapterConfig};
use lego_merge::compare::compare;
use serde_json::Value;

use crate::adapters::{committed, random, updates};
use crate::command::{run, text};

const MODULES: [&str; 2] = ["layers.0.q", "layers.1.q"];
const SHAPE: [usize; 2] = [9, 7];

/// One module of rank 1: input `j`, output `i`.
fn single(i: usize, j: usize, value: f32) -> Adapter {
    let a = Matrix::from_fn(1, 6, |_, c| if c == j { 1.0 } else { 0.0 });
    let b = Matrix::from_fn(5, 1, |r, _| if r == i { value } else { 0.0 });
    Adapter::from_factors("single", AdapterConfig::new(1), [("layer.q".to_string(), a, b)])
        .expect("an adapter")
}

#[test]
fn cosines_are_those_of_the_updates() {
    let adapters = [random(1, 2, 4.0, &MODULES, SHAPE), random(2, 3, -1.0, &MODULES, SHAPE)];
    let found = compare(&adapters, 0).expect("a comparison");
    let dense: Vec<Vec<f64>> =
        adapters.iter().map(|a| updates(a).into_values().flatten().collect()).collect();
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(a, b)| a * b).sum::<f64>();
    let expected = dot(&dense[0], &dense[1]) / (dot(&dense[0], &dense[0]) * dot(&dense[1], &dense[1])).sqrt();
    for (i, j) in [(0, 1), (1, 0)] {
        let cosine = found.overall.cosine[i][j].expect("a cosine");
        assert!((cosine - expected).abs() < 1e-9, "{cosine} against {expected}");
    }
}

#[test]
fn an_adapter_is_equal_to_itself_in_every_measure() {
    let adapters = [random(1, 3, 4.0, &MODULES, SHAPE), random(1, 3, 4.0, &MODULES, SHAPE)];
    let pairs = compare(&adapters, 0).expect("a comparison").overall;
    for (name, table) in [
        ("cosine", &pairs.cosine),
        ("column overlap", &pairs.column_overlap),
        ("row overlap", &pairs.row_overlap),
        ("interference", &pairs.interference),
    ] {
        let value = table[0][1].expect("a value");
        assert!((value - 1.0).abs() < 1e-8, "{name}: {value}");
    }
    let angle = pairs.row_angle_deg[0][1].expect("an angle");
    assert!(angle < 1e-3, "equal spaces are {angle}° apart");
}

#[test]
fn updates_that_share_one_side_overlap_there_alone() {
    let adapters = [single(0, 0, 2.0), single(0, 1, 3.0), single(0, 0, -4.0), single(1, 1, 0.0)];
    let pairs = compare(&adapters, 0).expect("a comparison").overall;
    let close = |value: Option<f64>, expected: f64| (value.expect("a value") - expected).abs() < 1e-9;
    assert!(close(pairs.cosine[0][1], 0.0), "other inputs, cosine 0");
    assert!(close(pairs.column_overlap[0][1], 1.0), "the same output");
    assert!(close(pairs.row_overlap[0][1], 0.0), "other inputs");
    assert!(close(pairs.row_angle_deg[0][1], 90.0), "at right angles");
    assert!(close(pairs.interference[0][1], 0.0), "the first reads nothing of the second's input");
    assert!(close(pairs.cosine[0][2], -1.0), "the opposite");
    assert!(close(pairs.interference[0][2], 2.0), "all of the third lies in the first, twice its size");
    assert!(close(pairs.sign_conflict[0][2], 1.0), "their one value has opposite signs");
    assert_eq!(pairs.sign_conflict[0][1], None, "their values are at different places");
    assert_eq!(pairs.cosine[0][3], None, "a zero update has no angle");
}

#[test]
fn the_command_prints_pairs_and_draws_them_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let plot = folder.path().join("pairs.svg");
    let args = |more: &[&str]| {
        let mut args = vec!["compare".into(), committed("ranks", 0).into(), committed("ranks", 1).into()];
        args.extend(["--plot".into(), plot.clone().into_os_string()]);
        args.extend(more.iter().map(Into::into));
        run::<std::ffi::OsString>(args)
    };
    let output = args(&[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    for word in ["cosine", "interference", "1, 2", "cluster sizes"] {
        assert!(printed.contains(word), "no `{word}` in\n{printed}");
    }
    let svg = std::fs::read_to_string(&plot).expect("a plot");
    assert!(svg.starts_with("<svg") && svg.contains("cosine of the updates"), "{svg}");
    let again = args(&[]);
    assert_eq!(again.status.code(), Some(2), "a plot that is there stays");
    assert!(text(&again.stderr).contains("--force"), "{}", text(&again.stderr));
    let json = args(&["--force", "--json"]);
    let value: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(value["overall"]["cosine"].as_array().map(Vec::len), Some(2), "{value}");
    let alone = run(["compare".into(), committed("ranks", 0).into_os_string()]);
    assert_eq!(alone.status.code(), Some(2), "one adapter has no pair");
}
