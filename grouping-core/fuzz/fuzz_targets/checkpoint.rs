//! Checkpoints in one file, llama2.c's among them, and the heads that they say: `cargo fuzz run checkpoint`.
#![no_main]

use std::fs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    // Names decide between formats.
    for name in ["model.bin", "model.safetensors"] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        let _ = kd_gqa::checkpoint::Checkpoint::open(&path);
    }
});
