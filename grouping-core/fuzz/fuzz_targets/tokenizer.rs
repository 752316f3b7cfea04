//! Tokenizers in JSON and in llama2.c's form: `cargo fuzz run tokenizer`.
#![no_main]

use std::fs;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["tokenizer.json", "tokenizer.bin"] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a file");
        if let Ok(tokenizer) = kd_gqa::text::open_tokenizer(&path) {
            let _ = tokenizer.encode("a b");
        }
    }
});
