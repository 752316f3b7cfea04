//! Configurations of adapters and of decoders: `cargo fuzz run configuration`.
#![no_main]

use std::path::Path;

use grouping_core::files::json::Fields;
use grouping_core::files::model_config::{Family, heads};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = lego_merge::adapter::AdapterConfig::parse(Path::new("adapter_config.json"), text);
    if let Ok(fields) = Fields::parse(Path::new("config.json"), text) {
        let _ = heads(&fields, 64);
        let _ = Family::of(&fields).map(|family| family.n_kv_heads(&fields, 8));
    }
});
