//! The README's commands run as they stand there, and commands print what they printed.

use std::path::Path;
use std::process::Command;

use grouping_core::testing::{sh_lines, words};

#[test]
fn every_command_of_the_readme_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let place = |name: &str| folder.path().join(name);
    std::fs::create_dir(place("pictures")).expect("a folder");
    for (from, to) in [
        ("in_256x128.png", "photo.png"),
        ("in_256x128.png", "pictures/a.png"),
        ("bmshj2018-hyperprior-mse.json", "bmshj2018-hyperprior-mse.json"),
        ("mbt2018-mean-mse.json", "mbt2018-mean-mse.json"),
    ] {
        std::fs::copy(data.join(from), place(to)).expect("a copy");
    }
    let mut n_commands = 0;
    for line in sh_lines(include_str!("../../README.md")).filter_map(|line| line.strip_prefix("iscs-lic ")) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_iscs-lic"));
        let output = command.args(words(line)).current_dir(folder.path()).output().expect("the binary runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`iscs-lic {line}` failed: {errors}");
        assert!(!output.stdout.is_empty(), "`iscs-lic {line}` printed nothing");
        n_commands += 1;
    }
    assert!(n_commands >= 8, "the README shows only {n_commands} commands");
}

// Help names the program with its extension elsewhere.
#[cfg(unix)]
#[test]
fn commands_print_what_they_printed() {
    use grouping_core::testing::assert_snapshots;

    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    assert_snapshots(&tests.join("cmd"), &tests.join("data"), Path::new(env!("CARGO_BIN_EXE_iscs-lic")));
}
