//! Encoding and decoding of a picture of 768 × 512 on one thread, by models of the sizes of CompressAI's zoo; and by the model that is built in, in floats and
//! in integers.
//!
//! Names, weights and picture as in `oracles/iscs-lic/bench_codec.py`, which also writes `shapes.json`: `codec_cpu/mbt2018-mean/decode`. CPU time, which
//! on one thread is the wall time of a machine that does nothing else.

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/it/recipe.rs"]
mod recipe;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use burn::tensor::Device;
use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use grouping_core::command::{FreedPages, freed_pages};
use grouping_core::testing::CpuTime;
use iscs_lic::checkpoint::Checkpoint;
use iscs_lic::codec::{Codec, EncodeOptions, Padding};
use iscs_lic::container::Mode;
use iscs_lic::picture::Picture;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIDES: [usize; 2] = [768, 512];

fn picture() -> Picture {
    let [width, height] = SIDES;
    let mut rgb = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let edge = if (x + 2 * y) % 61 > 30 { 60 } else { 0 };
            for c in 0..3 {
                let grain = (37 * x + 59 * y + 83 * c + x * y) % 17;
                rgb.push(((x / 3 + y / 5 + 40 * c + edge + grain) % 256) as u8);
            }
        }
    }
    Picture::new(width, height, rgb).expect("a picture")
}

/// The model of a zoo's size.
fn model(architecture: &str) -> Checkpoint {
    type Shapes = BTreeMap<String, BTreeMap<String, Vec<usize>>>;
    let mut shapes: Shapes = serde_json::from_str(include_str!("shapes.json")).expect("shapes");
    let gain = if architecture == "elic2022-official" { 1.2 } else { 1.5 };
    let shapes = shapes.remove(architecture).expect("a model of that name");
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let values = recipe::parameter(&name, &shape, gain);
        (name, (shape, values))
    };
    recipe::open(&shapes.into_iter().map(tensor).collect()).expect("a checkpoint")
}

fn both(criterion: &mut Criterion<CpuTime>, name: &str, load: impl Fn() -> Checkpoint, mode: Mode) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let mut group = criterion.benchmark_group(format!("codec_cpu/{name}"));
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_millis(1500));
    // Made when a benchmark of it is chosen.
    let mut made = None;
    let mut make = || {
        let codec = Codec::load(&load(), &Device::flex()).expect("a codec");
        let options = EncodeOptions { padding: Padding::Zeros, mode };
        let coded = codec.encode(&picture(), &options).expect("coded");
        (codec, options, coded)
    };
    group.bench_function("encode", |bencher| {
        let (codec, options, _) = made.get_or_insert_with(&mut make);
        let picture = picture();
        pool.install(|| bencher.iter(|| black_box(codec.encode(&picture, options).expect("coded"))));
    });
    group.bench_function("decode", |bencher| {
        let (codec, _, coded) = made.get_or_insert_with(&mut make);
        pool.install(|| bencher.iter(|| black_box(codec.decode(coded).expect("decoded"))));
    });
    group.finish();
}

fn codec(criterion: &mut Criterion<CpuTime>) {
    // As in the binary.
    freed_pages(FreedPages::Kept);
    for name in ["bmshj2018-hyperprior", "mbt2018-mean", "mbt2018", "elic2022-official"] {
        both(criterion, name, || model(name), Mode::Float);
    }
    for (name, mode) in [("float", Mode::Float), ("symbols", Mode::Symbols), ("pixels", Mode::Pixels)] {
        both(criterion, name, || Checkpoint::default_model().expect("the model that is built in"), mode);
    }
}

criterion_group!(name = cpu_time_of_process; config = Criterion::default().with_measurement(CpuTime); targets = codec);
criterion_main!(cpu_time_of_process);
