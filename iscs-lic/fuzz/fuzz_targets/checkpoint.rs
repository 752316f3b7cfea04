//! Checkpoints, and the tables of their entropy models: `cargo fuzz run checkpoint`.
#![no_main]

use std::fs;

use iscs_lic::checkpoint::Checkpoint;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    // Names decide between formats.
    for name in ["model.pth.tar", "model.safetensors"] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        if let Ok(checkpoint) = Checkpoint::open(&path) {
            for model in checkpoint.entropy_models() {
                let _ = checkpoint.tables(model);
            }
        }
    }
});
