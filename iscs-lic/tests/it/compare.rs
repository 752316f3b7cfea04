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
    let akima = &value["compared"][0]["distances"]["akima"];
    let rate = akima["bd_rate_percent"].as_f64().expect("a number");
    assert!((rate + 6.8329).abs() < 1e-3, "BD-rate by Akima: {rate}");
    let overlap = |of: &str| akima[format!("{of}_overlap")].as_f64().expect("a share");
    assert!(overlap("rate") > 0.9 && overlap("quality") > 0.9, "most is common: {akima}");
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

#[test]
fn the_two_distances_are_refused_and_warned_of_each_on_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, rates: &str, qualities: &str| {
        let text = format!(r#"{{"results":{{"bpp":[{rates}],"psnr":[{qualities}]}}}}"#);
        std::fs::write(folder.path().join(name), text).expect("a file");
    };
    write("anchor.json", "0.1,0.2,0.4,0.8", "28,30,32,34");
    write("cheap.json", "0.01,0.02,0.04,0.08", "28,30,32,34");
    write("good.json", "0.1,0.2,0.4,0.8", "48,50,52,54");
    write("half.json", "0.4,0.8,1.6,3.2", "28.5,30,32,34");
    let compared = |name: &str| {
        let output = compare(folder.path(), &["anchor.json", name, "--json"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), said, value["compared"][0]["distances"]["pchip"].clone())
    };
    let (status, said, distances) = compared("cheap.json");
    assert_eq!(status, Some(1), "one of two is refused: {said}");
    assert!(said.contains("no BD-PSNR, dB: expected rates that overlap, found 0.0100 to 0.0800"), "{said}");
    let rate = distances["bd_rate_percent"].as_f64().expect("the qualities are common");
    assert!((rate + 90.0).abs() < 1e-6 && distances["bd_quality_db"].is_null(), "{distances}");
    let (status, said, distances) = compared("good.json");
    assert_eq!(status, Some(1), "one of two is refused: {said}");
    assert!(said.contains("no BD-rate: expected qualities that overlap, found 48.0000 to 54.0000"), "{said}");
    let gain = distances["bd_quality_db"].as_f64().expect("the rates are common");
    assert!((gain - 20.0).abs() < 1e-6 && distances["bd_rate_percent"].is_null(), "{distances}");
    let (status, said, _) = compared("half.json");
    assert_eq!(status, Some(0), "both are there: {said}");
    assert!(said.contains("only 20 % of the rates are common, BD-PSNR, dB says little"), "{said}");
    assert!(!said.contains("qualities are common"), "most qualities are: {said}");
    let table = compare(folder.path(), &["anchor.json", "cheap.json"]).stdout;
    let table = String::from_utf8_lossy(&table);
    assert!(table.contains("-90.00") && table.contains('–'), "one number and one gap:\n{table}");
}

#[test]
fn results_of_one_name_are_told_apart_by_their_files() {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, psnr) in [("a.json", "28,30,32,34"), ("b.json", "29,31,33,35"), ("c.json", "29,31,33,36")] {
        let name = if file == "c.json" { "another" } else { "one" };
        let text = format!(r#"{{"name":"{name}","results":{{"bpp":[0.1,0.2,0.4,0.8],"psnr":[{psnr}]}}}}"#);
        std::fs::write(folder.path().join(file), text).expect("a file");
    }
    let output = compare(folder.path(), &["a.json", "b.json", "c.json", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let names = [&value["anchor"], &value["compared"][0]["name"], &value["compared"][1]["name"]];
    assert_eq!(names, ["one (a.json)", "one (b.json)", "another"], "{value}");
    let output = compare(folder.path(), &["a.json", "b.json", "./a.json"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("the same file twice"), "{said}");
}
