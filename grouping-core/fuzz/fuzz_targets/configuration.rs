//! Configurations of adapters and of decoders: `cargo fuzz run configuration`.
#![no_main]

use std::path::Path;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = lego_merge::adapter::AdapterConfig::parse(Path::new("adapter_config.json"), text);
});
