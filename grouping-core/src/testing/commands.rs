//! Commands as documents show them, and what they print.

use std::path::Path;
use std::process::Command;

/// The lines of a document's `sh` blocks, without their comments.
pub fn sh_lines(document: &str) -> impl Iterator<Item = &str> {
    let blocks = document.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).map(|line| line.split(" #").next().unwrap_or(line).trim_end())
}

/// The words of a command: what spaces part, and what stands in double quotes.
///
/// ```
/// use grouping_core::testing::words;
/// assert_eq!(words(r#"kd-gqa generate --prompt "Once upon a time""#)[2..], ["--prompt", "Once upon a time"]);
/// ```
pub fn words(line: &str) -> Vec<&str> {
    let parts = line.split('"').enumerate();
    parts
        .flat_map(|(i, part)| if i % 2 == 1 { vec![part] } else { part.split_whitespace().collect() })
        .collect()
}

/// Runs the command in the first line (`$ program …`) of each file in `snapshots`, in the folder `place`, and compares what it
/// prints with the lines below. With the environment variable `SNAPSHOTS=overwrite` the files are written anew instead.
pub fn assert_snapshots(snapshots: &Path, place: &Path, program: &Path) {
    let renews = std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite");
    run_snapshots(snapshots, place, program, renews);
}

fn run_snapshots(snapshots: &Path, place: &Path, program: &Path, renews: bool) {
    let entries = std::fs::read_dir(snapshots).expect("a folder of snapshots");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no snapshot", snapshots.display());
    for file in files {
        let wanted = std::fs::read_to_string(&file).expect("a snapshot");
        let line = wanted.lines().next().unwrap_or_default();
        let [_, _, arguments @ ..] = &words(line)[..] else {
            panic!("{}: the first line is no command", file.display())
        };
        let output = Command::new(program).args(arguments).current_dir(place).output().expect("it starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {errors}", file.display());
        let printed = format!("{line}\n{}", String::from_utf8_lossy(&output.stdout));
        if renews {
            std::fs::write(&file, &printed).expect("a snapshot is written");
        } else {
            assert_eq!(printed, wanted, "{}: another output", file.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_renews_all_snapshots() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        // The program of the tests lists those of a name that none has.
        let program = std::env::current_exe().expect("the program that runs");
        let files = ["a", "b"].map(|name| dir.path().join(name));
        for file in &files {
            std::fs::write(file, "$ tests --list nothing-has-this-name\nold\n")
                .expect("a snapshot is written");
        }
        let run = |renews| run_snapshots(dir.path(), dir.path(), &program, renews);
        assert!(std::panic::catch_unwind(|| run(false)).is_err(), "another output fails");
        run(true);
        for file in &files {
            let text = std::fs::read_to_string(file).expect("a snapshot");
            assert!(text.contains("0 tests"), "{}: {text}", file.display());
        }
        run(false);
    }
}
