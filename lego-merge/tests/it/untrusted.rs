//! Bytes from outside, damaged at random: an error or an adapter, never a panic.

use std::fs;
use std::path::Path;

use lego_merge::adapter::{Adapter, AdapterConfig, tensor_names};
use proptest::prelude::*;

use crate::adapters::{committed, data};

/// Overwrites, cuts and repeats pieces of a file.
fn damaged(mut bytes: Vec<u8>, edits: &[(u32, u8, u8)]) -> Vec<u8> {
    for &(at, kind, value) in edits {
        if bytes.is_empty() {
            break;
        }
        // Half of the edits near the beginning, where headers and opcodes are.
        let span = if kind % 2 == 0 { bytes.len() } else { bytes.len().min(1200) };
        let i = at as usize % span;
        match kind % 8 {
            0 | 1 => bytes.truncate(i),
            2 | 3 => {
                let piece = bytes[i..(i + usize::from(value)).min(bytes.len())].to_vec();
                bytes.splice(i..i, piece);
            }
            _ => bytes[i] = value,
        }
    }
    bytes
}

fn edits() -> impl Strategy<Value = Vec<(u32, u8, u8)>> {
    proptest::collection::vec(any::<(u32, u8, u8)>(), 1..6)
}

/// Reads the tensors' names, and all values where that succeeds.
fn look(file: &[u8], folder: &Path) {
    if tensor_names(file).is_err() {
        return;
    }
    fs::write(folder.join("adapter_model.safetensors"), file).expect("writes");
    if let Ok(adapter) = Adapter::read(folder) {
        for module in adapter.modules() {
            let _ = adapter.factors(&module.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_files_are_errors(edits in edits()) {
        let folder = tempfile::tempdir().expect("a folder");
        let config = fs::read(committed("plain", 0).join("adapter_config.json")).expect("a file");
        fs::write(folder.path().join("adapter_config.json"), config).expect("writes");
        let sources = [
            committed("plain", 0).join("adapter_model.safetensors"),
            data().join("pickle/zip/adapter_model.bin"),
            data().join("pickle/old/adapter_model.bin"),
        ];
        for source in sources {
            look(&damaged(fs::read(source).expect("a file"), &edits), folder.path());
        }
    }

    #[test]
    fn damaged_configurations_are_errors(edits in edits()) {
        let text = fs::read(committed("ranks", 0).join("adapter_config.json")).expect("a file");
        let text = damaged(text, &edits);
        let _ = AdapterConfig::parse(Path::new("adapter_config.json"), &String::from_utf8_lossy(&text));
    }

    #[test]
    fn any_bytes_are_no_reason_to_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        start in 0usize..4,
    ) {
        let starts: [&[u8]; 4] = [b"", b"\x80\x02", b"\x80\x04", b"PK\x03\x04"];
        let _ = tensor_names(&[starts[start], &bytes].concat());
    }
}

#[test]
fn a_nest_of_tuples_does_not_exhaust_the_stack() {
    let nest = [b"\x80\x02)".as_slice(), &[0x85; 1 << 20], b"."].concat();
    let error = tensor_names(&nest).expect_err("no dictionary").to_string();
    assert!(error.contains("a tuple"), "{error}");
}
