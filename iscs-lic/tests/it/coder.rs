//! Streams equal CompressAI's, come back as the symbols that they were, and are refused when they are damaged.

use grouping_core::testing::assert_refused;
use iscs_lic::coder::{Decoder, Encoder, SCALES, Tables, decode, encode};
use proptest::prelude::*;
use serde::Deserialize;

use crate::fixture;

const Y: &[u8] = include_bytes!("../data/y.bin");
const Z: &[u8] = include_bytes!("../data/z.bin");

/// The symbols of z and their rows: a channel, a row.
fn hyper() -> (Vec<i32>, Vec<u16>, Tables) {
    let golden = fixture::golden();
    let medians = fixture::checkpoint().decode("entropy_bottleneck.quantiles").expect("a tensor").values;
    let z = golden.decode("z").expect("a tensor").values;
    let n = z.len() / 32;
    let symbols =
        z.iter().enumerate().map(|(i, z)| (z - medians[3 * (i / n) + 1]).round_ties_even() as i32).collect();
    (symbols, (0..z.len()).map(|i| (i / n) as u16).collect(), fixture::tables("entropy_bottleneck"))
}

/// The symbols of y and their rows.
fn latent() -> (Vec<i32>, Vec<u16>, Tables) {
    let golden = fixture::golden();
    let rows = fixture::integers(&golden, "indexes").into_iter().map(|i| i as u16).collect();
    (fixture::integers(&golden, "y_sym"), rows, fixture::tables("gaussian_conditional"))
}

#[test]
fn streams_of_a_picture_are_compressais() {
    for (name, stream, (symbols, rows, tables)) in [("y", Y, latent()), ("z", Z, hyper())] {
        assert_eq!(encode(&symbols, &rows, &tables).expect("coded"), stream, "{name}: the same bytes");
        assert_eq!(decode(stream, &rows, &tables).expect("decoded"), symbols, "{name}: the same symbols");
    }
}

#[test]
fn pieces_give_what_all_at_once_gives() {
    let (symbols, rows, tables) = latent();
    for piece in [1, 7, 1000] {
        let mut encoder = Encoder::new();
        for (symbols, rows) in symbols.chunks(piece).zip(rows.chunks(piece)) {
            encoder.push(symbols, rows, &tables).expect("coded");
        }
        assert!(encoder.finish() == Y, "pieces of {piece} give the same bytes");
        let mut decoder = Decoder::new(Y).expect("a stream");
        let mut found = vec![0; symbols.len()];
        for (out, rows) in found.chunks_mut(piece).zip(rows.chunks(piece)) {
            decoder.next(rows, &tables, out).expect("decoded");
        }
        decoder.finish().expect("the whole stream");
        assert!(found == symbols, "pieces of {piece} give the same symbols");
    }
}

/// Of `oracles/iscs-lic/coder.py`: random tables, symbols in and far outside their bins, and CompressAI's stream.
#[derive(Deserialize)]
struct Golden {
    rows: Vec<Vec<i32>>,
    offsets: Vec<i32>,
    symbols: Vec<i32>,
    which: Vec<u16>,
    stream: String,
}

#[test]
fn streams_with_escapes_are_compressais() {
    let goldens: Vec<Golden> = serde_json::from_str(include_str!("../data/streams.json")).expect("goldens");
    for golden in &goldens {
        let width = golden.rows.iter().map(Vec::len).max().expect("rows");
        let lengths: Vec<i32> = golden.rows.iter().map(|row| row.len() as i32).collect();
        let mut padded = Vec::new();
        for row in &golden.rows {
            padded.extend_from_slice(row);
            padded.resize(padded.len() + width - row.len(), 0);
        }
        let tables = Tables::from_parts(&padded, width, &lengths, &golden.offsets).expect("tables");
        let stream = encode(&golden.symbols, &golden.which, &tables).expect("coded");
        let digits: String = stream.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digits, golden.stream, "the same bytes for {:?}", golden.symbols);
        assert_eq!(
            decode(&stream, &golden.which, &tables).expect("decoded"),
            golden.symbols,
            "the same symbols"
        );
    }
}

#[test]
fn short_streams_and_escapes_of_all_sizes_come_back() {
    let tables = Tables::gaussian(&SCALES).expect("scales");
    let nothing = encode(&[], &[], &tables).expect("coded");
    assert_eq!(nothing, [0, 0, 0, 0x80, 0, 0, 0, 0], "the bare state");
    assert!(decode(&nothing, &[], &tables).expect("decoded").is_empty(), "no symbol");
    for bits in 0..=30 {
        for far in
            [1i32 << bits, -(1 << bits), (1 << bits) - 1, i32::MAX - (1 << bits), i32::MIN + (1 << bits)]
        {
            for n in 1..=3 {
                for row in [0, 20, 63] {
                    let (symbols, rows) = (vec![far; n], vec![row; n]);
                    let stream = encode(&symbols, &rows, &tables).expect("coded");
                    assert_eq!(
                        decode(&stream, &rows, &tables).expect("decoded"),
                        symbols,
                        "{n} of {far}, row {row}"
                    );
                }
            }
        }
    }
    let ends = [i32::MAX, i32::MIN];
    let stream = encode(&ends, &[5, 5], &tables).expect("coded");
    assert_eq!(decode(&stream, &[5, 5], &tables).expect("decoded"), ends, "all integers of 32 bits");
}

/// A small stream with an escape.
fn small() -> (Vec<i32>, Vec<u16>, Tables, Vec<u8>) {
    let tables = Tables::gaussian(&SCALES).expect("scales");
    let symbols: Vec<i32> = (0..40).map(|i| if i == 17 { 5_000 } else { i % 7 - 3 }).collect();
    let rows: Vec<u16> = (0..40).map(|i| 20 + i % 20).collect();
    let stream = encode(&symbols, &rows, &tables).expect("coded");
    (symbols, rows, tables, stream)
}

#[test]
fn a_flipped_bit_is_an_error_or_another_symbol_of_the_same_width() {
    let (symbols, rows, tables, stream) = small();
    let mut n_accepted = 0;
    for bit in 0..8 * stream.len() {
        let mut damaged = stream.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        // Without a checksum no decoder can tell these from what was meant.
        if let Ok(found) = decode(&damaged, &rows, &tables) {
            n_accepted += 1;
            assert_eq!(
                encode(&found, &rows, &tables).expect("coded"),
                damaged,
                "bit {bit}: a stream has one meaning"
            );
            let n_other = found.iter().zip(&symbols).filter(|(a, b)| a != b).count();
            assert_eq!(n_other, 1, "bit {bit}: nothing but one symbol is another");
        }
    }
    assert!(n_accepted * 10 <= 8 * stream.len(), "{n_accepted} of {} bits", 8 * stream.len());
}

#[test]
fn missing_and_superfluous_bytes_are_errors() {
    let (_, rows, tables, stream) = small();
    for n in 0..stream.len() {
        let found = decode(&stream[..n], &rows, &tables);
        assert!(found.is_err(), "{n} of {} bytes: {found:?}", stream.len());
    }
    assert_refused(decode(&stream[..stream.len() - 4], &rows, &tables), "its end");
    assert_refused(decode(&stream[..stream.len() - 1], &rows, &tables), "a multiple of 4");
    assert_refused(decode(&stream[..4], &rows, &tables), "at least 8");
    let longer = [&stream[..], &[0; 4]].concat();
    assert_refused(decode(&longer, &rows, &tables), "4 more");
}

#[test]
fn a_stream_of_other_tables_or_lengths_is_an_error() {
    let (_, rows, tables, stream) = small();
    // The escape of symbol 17 has one count, the last, in every table: what follows it does not depend on the table.
    for at in (0..rows.len()).filter(|&at| at != 17) {
        let mut other = rows.clone();
        other[at] += 1;
        assert!(decode(&stream, &other, &tables).is_err(), "another table for symbol {at}");
    }
    assert!(decode(&stream, &rows[1..], &tables).is_err(), "a symbol less");
    assert!(decode(&stream, &[&rows[..], &[9]].concat(), &tables).is_err(), "a symbol more");
}

#[test]
fn what_cannot_be_coded_is_refused_by_name() {
    let tables = Tables::from_parts(&[0, 9, 65_536], 3, &[3], &[-2_000_000_000]).expect("a table");
    assert_refused(encode(&[0, 1], &[0], &tables), "expected 2, found 1");
    assert_refused(encode(&[0], &[1], &tables), "row of symbol 0");
    assert_refused(encode(&[0, i32::MAX], &[0, 0], &tables), "symbol 1");
    let mut encoder = Encoder::new();
    assert_refused(encoder.push(&[0, i32::MAX], &[0, 0], &tables), "symbol 1");
    assert_refused(encoder.push(&[0], &[3], &tables), "row of symbol 0");
    encoder.push(&[-2_000_000_000], &[0], &tables).expect("as it was before");
    assert_eq!(
        encoder.finish(),
        encode(&[-2_000_000_000], &[0], &tables).expect("coded"),
        "nothing of what was refused"
    );
    let mut decoder = Decoder::new(Y).expect("a stream");
    assert_refused(decoder.next(&[1], &tables, &mut [0]), "row of symbol 0");
    assert_refused(decoder.next(&[0], &tables, &mut []), "room");
    assert_refused(Decoder::new(&[0; 8]), "2³¹");
    assert_refused(Decoder::new(&[255; 8]), "2⁶³");
}

proptest! {
    #[test]
    fn symbols_come_back(
        counts in prop::collection::btree_set(1u32..65_536, 1..60),
        offset in -1000i32..1000,
        symbols in prop::collection::vec(prop_oneof![8 => -1100i32..1100, 1 => any::<i32>()], 0..300),
    ) {
        let row: Vec<i32> = std::iter::once(0).chain(counts.into_iter().map(|c| c as i32)).chain([65_536]).collect();
        let tables = Tables::from_parts(&row, row.len(), &[row.len() as i32], &[offset]).expect("a table");
        let rows = vec![0; symbols.len()];
        match encode(&symbols, &rows, &tables) {
            Ok(stream) => prop_assert_eq!(decode(&stream, &rows, &tables).expect("decoded"), symbols),
            Err(error) => prop_assert!(error.to_string().contains("2³¹"), "{error}"),
        }
    }

    #[test]
    fn bytes_of_any_kind_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), n in 0usize..200) {
        let tables = Tables::gaussian(&SCALES[..40]).expect("scales");
        let rows: Vec<u16> = (0..n).map(|i| (i % 40) as u16).collect();
        if let Ok(symbols) = decode(&bytes, &rows, &tables) {
            prop_assert_eq!(encode(&symbols, &rows, &tables).expect("coded"), bytes, "a stream has one meaning");
        }
    }
}
