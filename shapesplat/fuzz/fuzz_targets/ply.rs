//! PLY files, what is read of them written and read again: `cargo fuzz run ply`.
#![no_main]

use std::path::Path;

use grouping_core::files::output::Existing;
use shapesplat::format::{WriteOptions, load_bytes, read, write};
use shapesplat::splats::Bad;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Most inputs are no PLY; they are given its first line, so that headers are tried.
    let file = if bytes.starts_with(b"ply") { bytes.to_vec() } else { [b"ply\nformat ", bytes].concat() };
    let _ = load_bytes(&file, Path::new("in.ply"), Bad::Keep);
    let Ok(loaded) = load_bytes(&file, Path::new("in.ply"), Bad::Drop) else { return };
    assert!(loaded.splats.len() <= file.len(), "more rows than bytes");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.ply");
    // Names that are no words can be read, and not written.
    if write(&loaded.splats, &path, Existing::Refuse, &WriteOptions::default()).is_ok() {
        let again = read(&path).expect("what was written is read");
        assert_eq!(again.columns(), loaded.splats.columns(), "what was read is written");
        assert_eq!(again.elements, loaded.splats.elements, "and what stands beside it");
    }
});
