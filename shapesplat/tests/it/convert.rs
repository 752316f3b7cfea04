//! `convert` and `inspect` as their users see them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use shapesplat::Splats;

use crate::recipe::{self, Encoding, ply, properties};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_shapesplat"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn folder_with(name: &str, splats: &Splats) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(name), ply(&properties(splats), Encoding::Big)).expect("a file");
    folder
}

#[test]
fn convert_tells_what_the_target_did_to_the_values() {
    let folder = folder_with("in.ply", &recipe::splats(300, 45));
    let value = json(&run(folder.path(), &["convert", "in.ply", "out.compressed.ply", "--json"]));
    assert_eq!(
        (value["count"].as_u64(), value["inputs"][0]["format"].as_str(), value["format"].as_str()),
        (Some(300), Some("ply"), Some("compressed.ply"))
    );
    let properties: Vec<&str> =
        value["errors"].as_array().expect("errors").iter().filter_map(|e| e["property"].as_str()).collect();
    assert_eq!(
        properties,
        ["position", "scale", "rotation", "opacity", "colour", "sh"],
        "each with its errors"
    );
    let size = fs::metadata(folder.path().join("out.compressed.ply")).expect("a file").len();
    assert_eq!(value["bytes"].as_u64(), Some(size), "the length of the file");
    let shown = run(folder.path(), &["convert", "out.compressed.ply", "back.ply"]);
    let text = String::from_utf8_lossy(&shown.stdout);
    let size = fs::metadata(folder.path().join("back.ply")).expect("a file").len();
    assert_eq!(
        text.trim_end(),
        format!("back.ply: 300 Gaussians, {size} bytes, ply"),
        "one line where nothing is lost"
    );
}

#[test]
fn convert_refuses_what_would_be_lost_and_drops_it_when_asked() {
    let mut splats = recipe::splats(10, 0);
    splats.positions[0][3] = f32::NAN;
    let folder = folder_with("in.ply", &splats);
    let refused = |arguments: &[&str], words: &str| {
        let output = run(folder.path(), arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(words), "{arguments:?} is refused by `{words}`: {errors}");
    };
    refused(&["convert", "in.ply", "out.ply"], "in.ply: `row 3, x`: expected a finite number, found NaN");
    assert!(!folder.path().join("out.ply").exists(), "no file is left");
    let value = json(&run(folder.path(), &["convert", "in.ply", "out.ply", "--drop-bad", "--json"]));
    assert_eq!(
        (value["inputs"][0]["bad"].as_u64(), value["count"].as_u64()),
        (Some(1), Some(9)),
        "one is dropped"
    );
    refused(
        &["convert", "in.ply", "out.ply", "--drop-bad"],
        "the output exists already; --force replaces it",
    );
    refused(&["convert", "in.ply", "in.ply", "--force"], "expected another output than the input");
    refused(&["convert", "in.ply", "out.obj"], "out.obj: `extension`: expected");
    refused(&["convert", "none.ply", "other.ply"], "none.ply: cannot open");
    let forced = run(folder.path(), &["convert", "in.ply", "out.ply", "--drop-bad", "--force"]);
    assert!(String::from_utf8_lossy(&forced.stderr).contains("1 Gaussians were dropped"), "it is said");
}

#[test]
fn any_number_of_threads_gives_the_same_bytes_and_errors() {
    let mut splats = recipe::splats(20_000, 45);
    splats.positions[0].iter_mut().enumerate().for_each(|(row, x)| *x += row as f32 / 1024.0);
    let folder = folder_with("in.ply", &splats);
    let convert = |threads: &str, name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shapesplat"));
        let command =
            command.args(["convert", "in.ply", name, "--json", "--force"]).env("RAYON_NUM_THREADS", threads);
        let told = json(&command.current_dir(folder.path()).output().expect("the binary runs"));
        (told, fs::read(folder.path().join(name)).expect("a file"))
    };
    for name in ["out.ply", "out.compressed.ply"] {
        let [(told, one), (told_by_three, three)] = ["1", "3"].map(|threads| convert(threads, name));
        assert_eq!(told, told_by_three, "{name}: what is told");
        assert!(one == three, "{name}: the bytes of the file");
    }
}

#[test]
fn inspect_counts_and_draws_what_a_file_holds() {
    let mut splats = recipe::splats(500, 9);
    splats.positions[1][0] = f32::NAN;
    splats.opacities[1] = f32::INFINITY;
    splats.rest[8][2] = f32::NEG_INFINITY;
    let folder = folder_with("in.ply", &splats);
    let value = json(&run(folder.path(), &["inspect", "in.ply", "--json", "--plot", "in.svg"]));
    assert_eq!(
        (value["count"].as_u64(), value["shBands"].as_u64()),
        (Some(500), Some(1)),
        "how many, of which degree"
    );
    let stats = &value["stats"][0];
    let names: Vec<&str> =
        stats["columns"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
    let order = [
        "x", "y", "z", "rot_0", "rot_1", "rot_2", "rot_3", "scale_0", "scale_1", "scale_2", "opacity",
        "f_dc_0", "f_dc_1", "f_dc_2", "f_rest_0",
    ];
    assert_eq!(names[..15], order, "as splat-transform lists them");
    let of = |field: &str, name: &str| {
        let i = names.iter().position(|other| *other == name).expect("a column");
        stats["data"][field][i].clone()
    };
    assert_eq!(
        (
            of("nanCount", "y").as_u64(),
            of("infCount", "opacity").as_u64(),
            of("infCount", "f_rest_8").as_u64()
        ),
        (Some(1), Some(1), Some(1))
    );
    let greatest = splats.scales[0].iter().copied().fold(f32::MIN, f32::max);
    let shown = of("max", "scale_0").as_f64().expect("a number");
    assert!((shown - f64::from(greatest).exp()).abs() < 1e-9, "scales are activated: {shown}");
    let total: u64 = of("histogram", "x").as_array().expect("bins").iter().filter_map(Value::as_u64).sum();
    assert_eq!(total, 500, "every value is in a bin");
    let svg = fs::read_to_string(folder.path().join("in.svg")).expect("a plot");
    assert!(
        svg.contains("alpha in hundredths") && svg.contains("first axis") && svg.contains("green"),
        "three charts"
    );
    let text = run(folder.path(), &["inspect", "in.ply"]);
    let text = String::from_utf8_lossy(&text.stdout);
    let line = |name: &str| text.lines().find(|line| line.trim_start().starts_with(name)).map(str::to_owned);
    assert!(line("y").is_some_and(|line| line.contains(" 1 ")), "the NaN is shown: {text}");
    assert!(
        line("f_rest_8").is_some() && line("f_rest_7").is_none(),
        "of higher degrees only what is wrong: {text}"
    );
}

#[test]
fn inspect_says_what_splat_transform_says() {
    let said: Value = serde_json::from_str(include_str!("../data/stats.json")).expect("JSON");
    let mut splats = recipe::splats(500, 0);
    splats.positions[1][3] = f32::NAN;
    (splats.opacities[4], splats.opacities[5]) = (f32::INFINITY, f32::NEG_INFINITY);
    splats.scales[2][6] = f32::NEG_INFINITY;
    let folder = folder_with("in.ply", &splats);
    let ours = json(&run(folder.path(), &["inspect", "in.ply", "--json"]));
    for field in ["format", "numGaussians", "shBands", "extraColumns"] {
        assert_eq!(ours[field], said[field], "{field}");
    }
    let (ours, said) = (&ours["stats"][0], &said["stats"][0]);
    assert_eq!(
        (&ours["columns"], &ours["numGaussians"]),
        (&said["columns"], &said["numGaussians"]),
        "the same columns"
    );
    let (ours, said) = (&ours["data"], &said["data"]);
    for field in ["nanCount", "infCount"] {
        assert_eq!(ours[field], said[field], "{field}");
    }
    let numbers = |value: &Value| {
        value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect::<Vec<_>>()
    };
    // It prints six digits, and finds medians within a 1024th of at most twice the range.
    for (field, tolerance) in
        [("min", 1e-5), ("max", 1e-5), ("mean", 1e-5), ("stdDev", 1e-5), ("median", 8.0 / 512.0)]
    {
        for (column, (ours, said)) in numbers(&ours[field]).into_iter().zip(numbers(&said[field])).enumerate()
        {
            // It puts deviations through the activation of values, as if they were some.
            let ours = match (field, column) {
                ("stdDev", 7..=9) => ours.exp(),
                ("stdDev", 10) => 1.0 / (1.0 + (-ours).exp()),
                ("stdDev", 11..) => 0.5 + 0.282_094_791_77 * ours,
                _ => ours,
            };
            assert!(
                (ours - said).abs() <= tolerance * said.abs().max(1.0),
                "{field} of column {column}: {ours}, not {said}"
            );
        }
    }
    let histograms = ours["histogram"]
        .as_array()
        .expect("a list")
        .iter()
        .zip(said["histogram"].as_array().expect("a list"));
    for (column, (ours, said)) in histograms.enumerate() {
        let (ours, said) = (numbers(ours), numbers(said));
        assert_eq!(ours.iter().sum::<f64>(), said.iter().sum::<f64>(), "column {column}: as many values");
        // It sorts its fine bins into the sixteenths by their middles.
        let moved: f64 = ours.iter().zip(&said).map(|(a, b)| (a - b).abs()).sum();
        assert!(moved <= 0.1 * 500.0, "column {column}: {ours:?}, not {said:?}");
    }
}

#[test]
fn empty_files_are_inspected_and_converted() {
    let folder = folder_with("in.ply", &recipe::splats(0, 0));
    let value = json(&run(folder.path(), &["inspect", "in.ply", "--json", "--plot", "in.svg"]));
    assert_eq!((value["count"].as_u64(), value["bounds"].is_null()), (Some(0), true), "nothing, nowhere");
    for name in ["out.ply", "out.compressed.ply"] {
        let value = json(&run(folder.path(), &["convert", "in.ply", name, "--json"]));
        assert_eq!(value["count"].as_u64(), Some(0), "{name}");
        let value = json(&run(folder.path(), &["inspect", name, "--json"]));
        assert_eq!(value["count"].as_u64(), Some(0), "{name}");
    }
}

/// A file of the folder that `GROUPING_DATA` names; none, with a line that says so, where it is not set.
fn real(name: &str) -> Option<PathBuf> {
    let Some(data) = std::env::var_os("GROUPING_DATA") else {
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "skipped: {name} needs GROUPING_DATA");
        return None;
    };
    let path = PathBuf::from(data).join(name);
    assert!(path.is_file(), "{} is missing", path.display());
    Some(path)
}

#[test]
fn a_real_object_is_converted_and_inspected() {
    let Some(burger) = real("splats/burger.ply") else { return };
    let burger = burger.to_str().expect("a path of letters");
    let folder = tempfile::tempdir().expect("a folder");
    let value = json(&run(folder.path(), &["convert", burger, "out.ply", "--json"]));
    assert_eq!(
        (value["count"].as_u64(), value["inputs"][0]["bad"].as_u64()),
        (Some(44_133), Some(0)),
        "quaternions of any length are sound"
    );
    let [given, kept] = [Path::new(burger), &folder.path().join("out.ply")]
        .map(|path| shapesplat::format::read(path).expect("read"));
    assert!(given == kept, "every value is kept");
    let value = json(&run(folder.path(), &["convert", burger, "out.compressed.ply", "--json"]));
    let greatest = |property: &str| {
        let errors = value["errors"].as_array().expect("errors");
        errors
            .iter()
            .find(|error| error["property"] == property)
            .and_then(|error| error["greatest"].as_f64())
            .expect("an error")
    };
    // splat-transform's file is off by 3.8e-4 as well.
    assert!(greatest("position") < 4e-4, "position: {}", greatest("position"));
    assert!(greatest("rotation") < 3e-6, "rotation: {}", greatest("rotation"));
    let value = json(&run(folder.path(), &["inspect", burger, "--json"]));
    let data = &value["stats"][0]["data"];
    // What splat-transform's `--stats json` prints, rounded to six digits behind the point.
    let theirs = [
        ("min", 0, -0.523437),
        ("max", 3, 0.008217),
        ("mean", 7, 0.00319771),
        ("median", 10, 0.423234),
        ("stdDev", 0, 0.274122),
        ("max", 11, 0.998047),
    ];
    for (field, column, wanted) in theirs {
        let found = data[field][column].as_f64().expect("a number");
        assert!(
            (found - wanted).abs() < 2e-3 * wanted.abs(),
            "{field} of column {column}: {found}, not {wanted}"
        );
    }
}
