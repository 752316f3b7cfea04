//! Edits and `view` as users of the command see them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use grouping_core::files::output::Existing;
use shapesplat::edit::{Action, Amount, apply, merge};
use shapesplat::format::{self, WriteOptions};
use shapesplat::splats::frame::Frame;

use crate::turns::scene;

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shapesplat"));
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env("TMPDIR", folder);
    command.args(arguments).current_dir(folder).output().expect("the binary runs")
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, degree, seed) in [("a.ply", 3, 1), ("b.ply", 0, 2)] {
        let path = folder.path().join(name);
        format::write(&scene(40, degree, seed), &path, Existing::Refuse, &WriteOptions::default())
            .expect("a file");
    }
    folder
}

fn refused(folder: &Path, arguments: &[&str], words: &str) {
    let output = run(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
    assert!(errors.contains(words), "{arguments:?} is to be refused by `{words}`, and was by: {errors}");
    assert!(!folder.join("out.ply").exists(), "{arguments:?} leaves nothing");
}

#[test]
fn edits_are_done_in_the_order_of_their_flags() {
    let folder = folder();
    let flags = [
        "--translate",
        "-1,2e-1,3",
        "--rotate=10,-20,30",
        "--scale",
        "2",
        "--translate",
        "0,0,1",
        "--filter",
        "opacity>0.2 && x<4",
        "--degree",
        "1",
        "--keep",
        "50%",
        "--from",
        "RDF",
        "--to",
        "ruf",
        "--mirror",
    ];
    let arguments = [&["convert", "a.ply", "b.ply", "out.ply", "--json"], &flags[..]].concat();
    let output = run(folder.path(), &arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(
        errors.contains("note: filter opacity>0.2 && x<4: ") && errors.contains("of 80 Gaussians are kept"),
        "{errors}"
    );
    assert!(errors.contains("note: degrees 0 to 3: zeros"), "what is made up is said: {errors}");

    let frame = |text: &str| text.parse::<Frame>().expect("a frame");
    let actions = [
        Action::Translate([-1., 0.2, 3.]),
        Action::Rotate([10., -20., 30.]),
        Action::Scale(2.),
        Action::Translate([0., 0., 1.]),
        Action::Filter("opacity>0.2 && x<4".parse().expect("a filter")),
        Action::Degree(1),
        Action::Keep(Amount::Share(0.5)),
        Action::Reframe { from: frame("RDF"), to: frame("RUF"), mirror: true },
    ];
    let read = |name: &str| format::read(&folder.path().join(name)).expect("a scene");
    let mut expected = merge(vec![read("a.ply"), read("b.ply")]).expect("a scene").splats;
    let changes = apply(&mut expected, &actions).expect("edits");
    assert_eq!(read("out.ply"), expected, "the library's own");
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(value["edits"], serde_json::to_value(changes).expect("JSON"), "what each did");
    assert_eq!(value["inputs"].as_array().map(Vec::len), Some(2), "both inputs");
}

#[test]
fn what_does_not_fit_is_refused_in_terms_of_flags() {
    let folder = folder();
    let refused = |flags: &[&str], words: &str| {
        refused(folder.path(), &[&["convert", "a.ply", "out.ply"], flags].concat(), words);
    };
    refused(
        &["--from", "RDF", "--to", "RUF"],
        "--to: expected a right-handed frame, as RDF of --from is, or --mirror, found RUF",
    );
    refused(&["--from", "RDF"], "--to <FRAME>");
    refused(&["--from", "RDF", "--to", "XYZ"], "one each of R or L");
    refused(&["--scale", "-2"], "--scale: expected a finite factor above 0, found -2");
    refused(&["--rotate", "1,2"], "expected three numbers");
    refused(&["--filter", "x>"], "conditions such as");
    refused(&["--filter", "label>1"], "--filter: expected a column of the scene");
    refused(&["--filter", "x>100"], "none of 40 meets");
    refused(&["--keep", "0"], "at least 1");
    refused(&["--degree", "5"], "5 is not in 0..=4");
}

#[test]
fn a_page_is_written_and_its_place_is_printed() {
    let folder = folder();
    let output = run(folder.path(), &["view", "a.ply", "--out", "a.html", "--frame", "RUB"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "a.html\n", "where it is");
    let page = fs::read_to_string(folder.path().join("a.html")).expect("a page");
    assert!(page.contains("\"count\":40") && page.contains("\"up\":[0.0,1.0,0.0]"), "count and frame");
    let again = run(folder.path(), &["view", "a.ply", "--out", "a.html"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("--force replaces it"), "nothing is overwritten");

    let output = run(folder.path(), &["view", "b.ply"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let place = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    assert!(Path::new(&place).is_file() && place.ends_with(".html"), "{place} is there");
    let note = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(note.contains("no browser was opened"), "without a desktop that is said: {note}");
}
