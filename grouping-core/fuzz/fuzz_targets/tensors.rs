//! Headers of safetensors files, zip archives and pickles: `cargo fuzz run tensors`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = grouping_core::files::tensor_file::names(bytes);
});
