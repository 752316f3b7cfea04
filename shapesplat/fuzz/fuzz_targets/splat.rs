//! `.splat` files: whatever was read is written and read again: `cargo fuzz run splat`.
#![no_main]

use std::path::Path;

use grouping_core::files::output::Existing;
use shapesplat::format::{WriteOptions, load_bytes, read, write};
use shapesplat::splats::Bad;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(loaded) = load_bytes(bytes, Path::new("in.splat"), Bad::Drop) else { return };
    if loaded.splats.is_empty() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.splat");
    write(&loaded.splats, &path, Existing::Refuse, &WriteOptions::default()).expect("sound values are written");
    let again = read(&path).expect("and read");
    assert_eq!(again.positions, loaded.splats.positions, "positions are exact");
    assert_eq!(again.opacities, loaded.splats.opacities, "bytes come back");
});
