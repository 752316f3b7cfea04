//! `kd-gqa allocate` as users run it, and against the released code (golden of `oracles/kd-gqa/allocate.py`).

use std::path::Path;
use std::process::{Command, Output};

use kd_gqa::allocation::{Lanes, Method, lane_sum};
use serde::Deserialize;
use serde_json::{Value, json};

/// Runs the command on a file of this content.
fn allocate(folder: &Path, content: &str, args: &str) -> Output {
    std::fs::write(folder.join("norms.json"), content).expect("a file is written");
    Command::new(env!("CARGO_BIN_EXE_kd-gqa"))
        .args(["allocate", "--norms", "norms.json"])
        .args(args.split_whitespace())
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn groups_as_json_and_as_a_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let norms = r#"{"norms": [[10, 11, 12], [5, 1, 1]]}"#;
    for (args, expected) in [
        ("--method kdgqa --fidelity official", "[0,2,4]}"),
        ("--method kdgqa --fidelity paper --simd 16", "[0,2,4]}"),
        ("--method kdgqa --fidelity robust", "[2,2,2]}"),
        ("--method dgqa-ema --temperature 9", "[1,2,3]}"),
        ("--method dgqa-diff --fidelity official --seed 3", "[2,2,2]}"),
    ] {
        let output = allocate(folder.path(), norms, &format!("--heads 6 {args} --json"));
        assert!(output.status.success(), "{args}: {}", text(&output.stderr));
        let found = text(&output.stdout);
        assert!(found.starts_with(&format!(r#"{{"layers":[{{"groups":{expected}"#)), "{args}: {found}");
        assert_eq!(found.lines().count(), 1, "one line: {found}");
    }
    let table = allocate(folder.path(), norms, "--heads 6 --method kdgqa --fidelity official");
    let table = text(&table.stdout);
    assert!(table.contains("0 2 4") && table.contains("6 0 0"), "{table}");
}

#[test]
fn draws_run_on_through_the_layers() {
    let folder = tempfile::tempdir().expect("a folder");
    let row = "[3, 3, 3, 3]";
    let norms = format!(r#"{{"norms": [{}]}}"#, [row; 12].join(","));
    let run = |seed: u64| {
        let args = format!("--heads 6 --method dgqa-ema --fidelity official --json --seed {seed}");
        text(&allocate(folder.path(), &norms, &args).stdout)
    };
    // Four shares of 1.5 are rounded to 2, and two of eight are taken back at random.
    let first = run(0);
    let layers: Vec<&str> = first.split(r#"{"groups":"#).skip(2).collect();
    assert_eq!(layers.len(), 11, "{first}");
    assert!(layers.iter().any(|layer| layer != &layers[0]), "every layer drew the same: {first}");
    assert_eq!(run(0), first, "the same seed");
    assert_ne!(run(1), first, "another seed");
}

#[test]
fn norms_without_finite_shares_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases = [
        (
            r#"{"norms": [[1, 2, 3], [4, 4, 4]]}"#,
            "kdgqa",
            "norms.json: `norms[1]`: expected finite key norms that are not all equal",
        ),
        (r#"{"norms": [[7]]}"#, "kdgqa", "norms[0]"),
        (r#"{"norms": [[1, 2]], "cache": [[1, 2]]}"#, "dgqa-diff", "differ from the cached ones"),
        (r#"{"norms": [[0, 0]]}"#, "dgqa-ema", "not all 0"),
        (r#"{"norms": [[1e39, 1]]}"#, "dgqa-ema", "finite"),
    ];
    for (content, method, message) in cases {
        for fidelity in ["official", "paper"] {
            let args = format!("--heads 6 --method {method} --fidelity {fidelity} --json");
            let output = allocate(folder.path(), content, &args);
            let errors = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{content}: {errors}");
            assert!(output.stdout.is_empty(), "{content}: stdout");
            assert!(errors.contains(message), "{content}: {errors}");
        }
        let output = allocate(folder.path(), content, &format!("--heads 6 --method {method} --json"));
        assert!(output.status.success(), "{content}: robust goes on: {}", text(&output.stderr));
    }
}

#[test]
fn bad_files_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let cases = [
        ("", "`content`: expected JSON"),
        ("[1]", "`content`: expected an object, found a list of 1"),
        ("{}", "`norms`: expected a list of layers"),
        (r#"{"norms": []}"#, "`norms`: expected at least one layer"),
        (r#"{"norms": 3}"#, "`norms`: expected a list of layers, found 3"),
        (r#"{"norms": [[1, 2], 3]}"#, "`norms[1]`: expected a list of numbers, found 3"),
        (r#"{"norms": [[1, "2"]]}"#, r#"`norms[0][1]`: expected a number of at least 0, found "2""#),
        (r#"{"norms": [[1, -2]]}"#, "`norms[0][1]`: expected a number of at least 0, found -2"),
        (r#"{"norms": [[1, null]]}"#, "`norms[0][1]`: expected a number of at least 0, found null"),
        (r#"{"norms": [[1, NaN]]}"#, "`content`: expected JSON"),
        (r#"{"norms": [[]]}"#, "`norms[0]`: expected 1 to 6 norms"),
        (
            r#"{"norms": [[1,1,1,1,1,1,1]]}"#,
            "`norms[0]`: expected 1 to 6 norms, as there are 6 heads, found 7",
        ),
        (
            r#"{"norms": [[1, 2]], "cache": []}"#,
            "`cache`: expected as many layers as `norms` has, 1, found 0",
        ),
        (r#"{"norms": [[1, 2]], "cache": [[1]]}"#, "`cache[0]`: expected 2 values, as in norms[0], found 1"),
        (r#"{"norms": [[1, 2]], "cahce": [[1, 2]]}"#, "`cahce`: expected `norms` or `cache`"),
    ];
    for (content, message) in cases {
        let output = allocate(folder.path(), content, "--heads 6 --method kdgqa");
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{content}: {errors}");
        assert!(errors.contains(&format!("norms.json: {message}")), "{content}: {errors}");
        assert!(output.stdout.is_empty(), "{content}: stdout");
    }
    for (args, message) in [
        ("--heads 0 --method kdgqa", "1 to 64"),
        ("--heads 65 --method kdgqa", "1 to 64"),
        (
            "--heads 6 --method kdgqa --temperature -1",
            "temperature: expected a number of at least 0, found -1",
        ),
        ("--heads 6 --method kdgqa --temperature nan", "temperature: expected a number"),
        ("--heads 6 --method kdgqa --temperature 2 --fidelity paper", "--temperature"),
        ("--heads 6 --method pgqa", "pgqa"),
        ("--heads 6 --method kdgqa --simd 4", "4"),
        ("--method kdgqa", "--heads"),
    ] {
        let output = allocate(folder.path(), r#"{"norms": [[1, 2]]}"#, args);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args}: {errors}");
        assert!(errors.contains(message), "{args}: {errors}");
    }
    let missing = Command::new(env!("CARGO_BIN_EXE_kd-gqa"))
        .args(["allocate", "--norms", "nowhere.json", "--heads", "6", "--method", "kdgqa"])
        .current_dir(folder.path())
        .output()
        .expect("the binary runs");
    assert!(text(&missing.stderr).contains("nowhere.json: cannot open"), "{}", text(&missing.stderr));
}

/// What `oracles/kd-gqa/allocate.py` wrote.
#[derive(Deserialize)]
struct Golden {
    sums: Vec<[u32; 5]>,
    lanes: Vec<LanesCase>,
    layers: Vec<LayersCase>,
}

#[derive(Deserialize)]
struct LanesCase {
    method: Method,
    heads: usize,
    seed: u64,
    norms: Value,
    cache: Value,
    #[serde(rename = "8")]
    eight: String,
    #[serde(rename = "16")]
    sixteen: String,
}

#[derive(Deserialize)]
struct LayersCase {
    method: Method,
    heads: usize,
    seed: u64,
    norms: Value,
    cache: Value,
    layers: Vec<String>,
    draws: Vec<usize>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../data/allocate.json")).expect("the golden file parses")
}

/// The groups of each layer, a digit of base 36 a head.
fn allocated(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{}", text(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let digit = |size: &Value| {
        char::from_digit(size.as_u64().expect("a size") as u32, 36).expect("a size below 36").to_string()
    };
    let layers = found["layers"].as_array().expect("layers").iter();
    layers.map(|layer| layer["groups"].as_array().expect("groups").iter().map(digit).collect()).collect()
}

#[test]
fn sums_have_torchs_bits_at_eight_lanes_and_the_kernels_at_sixteen() {
    let golden = golden();
    let mut n_other = 0;
    for &[n, seed, avx2, avx512, sixteen] in &golden.sums {
        let value = |i: u32| {
            let value = ((i * 7919 + seed * 104_729) % 2003) as f32 / 500.0;
            if seed % 3 == 2 { value - 2.0 } else { value }
        };
        let values: Vec<f32> = (0..n).map(value).collect();
        let found = lane_sum(&values, Lanes::Eight).to_bits();
        assert_eq!([found; 2], [avx2, avx512], "{n} values, seed {seed}: torch on AVX2 and AVX-512");
        assert_eq!(lane_sum(&values, Lanes::Sixteen).to_bits(), sixteen, "{n} values, seed {seed}: 16 lanes");
        n_other += usize::from(sixteen != avx512);
    }
    assert!(n_other > 100, "only {n_other} sums differ between the two orders");
}

#[test]
fn allocations_at_either_number_of_lanes_equal_the_released_codes() {
    let folder = tempfile::tempdir().expect("a folder");
    for (i, case) in golden().lanes.iter().enumerate() {
        assert_ne!(case.eight, case.sixteen, "case {i} tells them apart");
        let norms = json!({ "norms": [case.norms], "cache": [case.cache] }).to_string();
        let fixed = format!(
            "--heads {} --method {} --seed {} --fidelity official --json",
            case.heads, case.method, case.seed
        );
        for (simd, expected) in [("", &case.eight), ("--simd 8", &case.eight), ("--simd 16", &case.sixteen)] {
            let found = allocated(&allocate(folder.path(), &norms, &format!("{fixed} {simd}")));
            assert_eq!(&found, std::slice::from_ref(expected), "case {i}, {} {simd}", case.method);
        }
    }
}

#[test]
fn layer_after_layer_equals_the_released_code_seeded_once() {
    let folder = tempfile::tempdir().expect("a folder");
    for case in golden().layers {
        let norms = json!({ "norms": case.norms, "cache": case.cache }).to_string();
        let args = format!(
            "--heads {} --method {} --seed {} --fidelity official --json",
            case.heads, case.method, case.seed
        );
        let found = allocated(&allocate(folder.path(), &norms, &args));
        let what = format!("{}, {} heads, draws {:?}", case.method, case.heads, case.draws);
        assert_eq!(found, case.layers, "{what}");
        let n_drawing = case.draws.iter().filter(|&&n| n > 0).count();
        assert!(n_drawing >= 3 || case.method == Method::Kdgqa, "{what}: several layers draw");
    }
}
