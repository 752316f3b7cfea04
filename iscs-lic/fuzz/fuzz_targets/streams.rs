//! Streams of symbols, by Gaussian tables and by tables that the input draws: `cargo fuzz run streams`.
#![no_main]

use std::sync::LazyLock;

use iscs_lic::coder::{SCALES, Tables, decode, encode};

static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::gaussian(&SCALES[..40]).expect("scales"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&n, rest)) = bytes.split_first() else { return };
    // Tables of any counts are refused or usable.
    let words: Vec<i32> = rest.as_chunks().0.iter().map(|&word| i32::from_le_bytes(word)).collect();
    let drawn = Tables::from_parts(&words, words.len(), &[words.len() as i32], &[i32::from(n)]);
    for tables in drawn.iter().chain([&*TABLES]) {
        let rows: Vec<u16> = (0..u16::from(n)).map(|i| i % tables.n_rows() as u16).collect();
        if let Ok(symbols) = decode(rest, &rows, tables) {
            assert_eq!(encode(&symbols, &rows, tables).expect("coded"), rest, "a stream has one meaning");
        }
        let symbols: Vec<i32> = words.iter().take(rows.len()).copied().collect();
        let rows = &rows[..symbols.len()];
        if let Ok(stream) = encode(&symbols, rows, tables) {
            assert_eq!(decode(&stream, rows, tables).expect("decoded"), symbols, "what was coded is decoded");
        }
    }
});
