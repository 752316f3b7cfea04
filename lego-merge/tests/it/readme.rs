//! The README's commands run as they stand there, and commands print what they printed.

use std::path::Path;
use std::process::Command;

use grouping_core::testing::{sh_lines, words};
use lego_merge::merge::{METHODS, MethodInfo, flags};
use regex::Regex;

use crate::adapters::committed;

#[test]
fn every_command_of_the_readme_runs() {
    let lines = sh_lines(include_str!("../../README.md")).filter_map(|line| line.strip_prefix("lego-merge "));
    let folder = tempfile::tempdir().expect("a folder");
    let mut names: Vec<&str> = vec![];
    let mut n_commands = 0;
    for line in lines {
        let words = words(line);
        // Adapters are the words before the first option; those that no command before wrote stand for two real ones.
        let adapters = words[1..].iter().take_while(|w| !w.starts_with('-'));
        for &name in adapters {
            let place = folder.path().join(name);
            if !place.exists() && !names.contains(&name) {
                copy(&committed("plain", names.len() % 2), &place);
                names.push(name);
            }
        }
        let output = Command::new(env!("CARGO_BIN_EXE_lego-merge"))
            .args(&words)
            .current_dir(folder.path())
            .output()
            .expect("the binary runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`lego-merge {line}` failed: {errors}");
        assert!(!output.stdout.is_empty(), "`lego-merge {line}` printed nothing");
        n_commands += 1;
    }
    assert!(n_commands >= 3, "the README shows only {n_commands} commands");
}

#[test]
fn the_table_of_methods_is_that_of_the_crate() {
    let readme = include_str!("../../README.md");
    let rows: Vec<&str> = readme.lines().skip_while(|line| !line.starts_with("| `--method` |")).collect();
    // Flags stand in backticks there.
    let flag = Regex::new("`(--[a-z-]+)`").expect("a pattern");
    let rows = rows[2..].iter().take_while(|line| !line.is_empty()).map(|line| flag.replace_all(line, "$1"));
    let expected = METHODS.map(|method| {
        let MethodInfo { name, help, loses, rank, .. } = method.info();
        format!("| `{name}` | {} | {} | {loses} |", flags(help), flags(&rank.to_string()))
    });
    assert_eq!(rows.collect::<Vec<_>>(), expected, "README.md beside the table of methods");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a committed adapter") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

// Help names the program with its extension elsewhere.
#[cfg(unix)]
#[test]
fn commands_print_what_they_printed() {
    use grouping_core::testing::assert_snapshots;

    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    assert_snapshots(&tests.join("cmd"), &tests.join("data"), Path::new(env!("CARGO_BIN_EXE_lego-merge")));
}
