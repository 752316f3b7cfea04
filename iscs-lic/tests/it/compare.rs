//! `iscs-lic compare`: results in, mean distances out.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn compare(place: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_iscs-lic"));
    command.arg("compare").args(arguments).current_dir(place).output().expect("it starts")
}

fn data() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

#[test]
fn compressais_results_are_compared_and_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["bmshj2018-hyperprior-mse.json", "mbt2018-mean-mse.json"] {
        std::fs::copy(data().join(name), folder.path().join(name)).expect("a copy");
    }
    let files = ["bmshj2018-hyperprior-mse.json", "mbt2018-mean-mse.json"];
    let output = compare(folder.path(), &[&files[..], &["--json", "--plot", "curves.svg"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rate = value["compared"][0]["distances"]["akima"]["bd_rate_percent"].as_f64().expect("a number");
    assert!((rate + 6.8329).abs() < 1e-3, "BD-rate by Akima: {rate}");
    let svg = std::fs::read_to_string(folder.path().join("curves.svg")).expect("a plot");
    assert!(svg.contains("mbt2018-mean-mse"), "the legend names the codecs");
    let again = compare(folder.path(), &[&files[..], &["--plot", "curves.svg"]].concat());
    assert_eq!(again.status.code(), Some(2), "a plot that exists stays");
}

#[test]
fn curves_without_a_mean_distance_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let anchor = data().join("bmshj2018-hyperprior-mse.json");
    let anchor = anchor.to_str().expect("a path");
    let cases = [
        (r#"{"results":{"bpp":[1,2,3],"psnr":[30,31,32]}}"#, 1, "at least 4 points"),
        (r#"{"results":{"bpp":[0.1,0.2,0.3,0.4],"psnr":[28,27,29,30]}}"#, 1, "rises with the rate"),
        (r#"{"results":{"bpp":[3,4,5,6],"psnr":[50,51,52,53]}}"#, 1, "overlap"),
        (r#"{"results":{"bpp":[3,4,5,6],"psnr":[50,51,52]}}"#, 2, "as many as"),
        (r#"{"results":{"bpp":[3,4,5,6],"psnr":[50,51,null,53]}}"#, 1, "finite quality"),
        (r#"{"results":{"bpp":[3,4,5,5],"psnr":[50,51,52,53]}}"#, 1, "different rates"),
        (r#"{"results":{"bpp":[3,4,5,"6"],"psnr":[50,51,52,53]}}"#, 2, "numbers"),
        (r#"{"results":{"bpp":[3,4,5,6],"psnr":[50,51,NaN,53]}}"#, 2, "strict JSON"),
        (r#"{"results":{"psnr":[50,51,52,53]}}"#, 2, "bpp"),
    ];
    for (text, code, words) in cases {
        std::fs::write(folder.path().join("other.json"), text).expect("a file");
        let output = compare(folder.path(), &[anchor, "other.json"]);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(output.status.code(), Some(code), "{text}: {said}");
        assert!(said.contains(words), "{text}: no `{words}` in {said}");
    }
}
