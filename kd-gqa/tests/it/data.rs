//! Where the tests' data lies, and data that `gqa-lab` makes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A committed golden.
pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A file of the folder `GROUPING_DATA`, which must be there; nothing, and a note, where no folder is named.
pub(crate) fn real(test: &str, name: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("GROUPING_DATA").map(PathBuf::from) else {
        // Past the capture of passing tests, so that it is seen and counted.
        let note = format!("skipped: {test} needs GROUPING_DATA\n");
        let _ = std::io::Write::write_all(&mut std::io::stderr(), note.as_bytes());
        return None;
    };
    let path = folder.join(name);
    assert!(path.exists(), "{} is missing", path.display());
    Some(path)
}

/// Runs the experiment bed, which must succeed.
pub(crate) fn lab<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) {
    let output = Command::new(env!("CARGO_BIN_EXE_gqa-lab")).args(words).output().expect("gqa-lab starts");
    assert!(output.status.success(), "gqa-lab failed: {}", String::from_utf8_lossy(&output.stderr));
}

/// Writes procedural images of ten classes, a folder a class.
pub(crate) fn procedural_images(folder: &Path, n_per_class: usize, first: usize, seed: u64) {
    let words = format!("images --n-per-class {n_per_class} --first {first} --seed {seed} --out");
    lab(words.split(' ').map(OsStr::new).chain([folder.as_os_str()]));
}
