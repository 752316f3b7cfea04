//! Encoding and decoding of 589,824 symbols, as many as six pictures of 768 × 512 have, by the Gaussian tables; and constriction with the same tables.
//!
//! The tables are chosen as for a real picture: the 8,192 indexes of the golden picture, 72 times, each one wider, which gives 2.15 bits a symbol.
//! The symbols are drawn from those tables by SplitMix64. Names and symbols as in `oracles/iscs-lic/bench_coder.py`: `coder/decode`.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use constriction::UnwrapInfallible;
use constriction::stream::Decode;
use constriction::stream::model::ContiguousCategoricalEntropyModel;
use constriction::stream::stack::DefaultAnsCoder;
use criterion::{Criterion, criterion_group, criterion_main};
use grouping_core::files::tensor_file::TensorFile;
use iscs_lic::coder::{Decoder, Encoder, SCALES, Tables, decode, encode};

const REPEATS: usize = 72;

/// The i-th number of the generator.
fn split_mix(i: u64) -> u64 {
    let z = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn rows() -> Vec<u16> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden_256x128.safetensors");
    let golden = TensorFile::open(&path).expect("a committed file");
    let (_, _, bytes) = golden.stored("indexes").expect("a tensor");
    let row = |bytes: &[u8; 4]| (i32::from_le_bytes(*bytes) + 1).min(63) as u16;
    let once: Vec<u16> = bytes.as_chunks().0.iter().map(row).collect();
    once.repeat(REPEATS)
}

fn symbols(rows: &[u16], tables: &Tables) -> Vec<i32> {
    let symbol = |(i, &row): (usize, &u16)| {
        let count = (split_mix(i as u64) >> 48) as u32;
        let bin = tables.row(usize::from(row)).partition_point(|&c| c <= count) - 1;
        bin as i32 + tables.offset(usize::from(row))
    };
    rows.iter().enumerate().map(symbol).collect()
}

fn coder(criterion: &mut Criterion) {
    let tables = Tables::gaussian(&SCALES).expect("scales");
    let rows = rows();
    let symbols = symbols(&rows, &tables);
    let stream = encode(&symbols, &rows, &tables).expect("coded");
    let mut group = criterion.benchmark_group("coder");
    group.bench_function("encode", |bencher| {
        bencher.iter(|| black_box(encode(&symbols, &rows, &tables).expect("coded")));
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| black_box(decode(&stream, &rows, &tables).expect("decoded")));
    });
    // As models do that find each table from the symbols before.
    group.bench_function("encode_one_by_one", |bencher| {
        bencher.iter(|| {
            let mut encoder = Encoder::new();
            for (symbol, row) in symbols.iter().zip(&rows) {
                encoder
                    .push(std::slice::from_ref(symbol), std::slice::from_ref(row), &tables)
                    .expect("coded");
            }
            black_box(encoder.finish())
        });
    });
    group.bench_function("decode_one_by_one", |bencher| {
        bencher.iter(|| {
            let mut decoder = Decoder::new(&stream).expect("a stream");
            let mut symbol = [0];
            let mut sum = 0i32;
            for row in &rows {
                decoder.next(std::slice::from_ref(row), &tables, &mut symbol).expect("decoded");
                sum = sum.wrapping_add(symbol[0]);
            }
            decoder.finish().expect("the whole stream");
            black_box(sum)
        });
    });

    // Bins without offsets, since constriction's categorical models have none; no symbol is escaped.
    type Model = ContiguousCategoricalEntropyModel<u32, Vec<u32>, 16>;
    let models: Vec<Model> = (0..tables.n_rows())
        .map(|i| {
            let widths: Vec<u32> = tables.row(i).windows(2).map(|pair| pair[1] - pair[0]).collect();
            Model::from_nonzero_fixed_point_probabilities(&widths, false).expect("a table")
        })
        .collect();
    let bins: Vec<usize> = symbols
        .iter()
        .zip(&rows)
        .map(|(symbol, &row)| (symbol - tables.offset(usize::from(row))) as usize)
        .collect();
    let encode = || {
        let mut coder = DefaultAnsCoder::new();
        let pairs = bins.iter().zip(&rows).map(|(&bin, &row)| (bin, &models[usize::from(row)]));
        coder.encode_symbols_reverse(pairs).expect("coded");
        coder
    };
    group.bench_function("constriction_encode", |bencher| {
        bencher.iter(|| black_box(encode().into_compressed().expect("words")));
    });
    let words = encode().into_compressed().expect("words");
    let decode = || -> Vec<usize> {
        let mut coder = DefaultAnsCoder::from_compressed_slice(&words).expect("words");
        let models = rows.iter().map(|&row| &models[usize::from(row)]);
        coder.decode_symbols(models).map(|bin| bin.unwrap_infallible()).collect()
    };
    assert!(decode() == bins, "constriction decodes what it encodes");
    group.bench_function("constriction_decode", |bencher| bencher.iter(|| black_box(decode())));
    group.finish();
}

// A pass takes from 3 ms to 20 ms.
criterion_group!(
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1));
    targets = coder
);
criterion_main!(benches);
