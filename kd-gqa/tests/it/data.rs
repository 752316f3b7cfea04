//! Where the tests' data lies.

use std::path::{Path, PathBuf};

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
