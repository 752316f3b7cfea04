//! The README's commands run as they stand there.

use std::process::Command;

use grouping_core::files::output::Existing;
use grouping_core::testing::{sh_lines, words};
use shapesplat::format::{WriteOptions, write};

use crate::recipe::splats;

#[test]
fn every_command_of_the_readme_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("scene.ply");
    write(&splats(300, 45), &path, Existing::Refuse, &WriteOptions::default()).expect("a scene");
    let mut n_commands = 0;
    for line in sh_lines(include_str!("../../README.md")).filter_map(|line| line.strip_prefix("shapesplat "))
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shapesplat"));
        let output = command.args(words(line)).current_dir(folder.path()).output().expect("the binary runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`shapesplat {line}` failed: {errors}");
        assert!(!output.stdout.is_empty(), "`shapesplat {line}` printed nothing");
        n_commands += 1;
    }
    assert!(n_commands >= 11, "the README shows only {n_commands} commands");
}
