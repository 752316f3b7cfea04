//! One decoded token: 32 query heads of 128 over 8 key/value heads and 4,096 tokens, in equal groups, in unequal ones, and gathered.
//!
//! Names as in `oracles/kd-gqa/bench_vit.py`: `decode/ragged/threads_1`.

use std::hint::black_box;
use std::time::Duration;

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use kd_gqa::Groups;
use kd_gqa::attention::{AttentionOptions, KvCache, grouped_attention};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HEADS: usize = 32;
const KV_HEADS: usize = 8;
const HEAD_DIM: usize = 128;
const CONTEXT: usize = 4096;
const RAGGED: [usize; KV_HEADS] = [9, 1, 4, 4, 2, 6, 3, 3];

fn decode(criterion: &mut Criterion) {
    let device = Device::flex();
    device.seed(0);
    let normal = |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let q = normal([1, HEADS, 1, HEAD_DIM]);
    let mut cache = KvCache::new([1, KV_HEADS, HEAD_DIM], CONTEXT, &device).expect("a cache");
    let new = || normal([1, KV_HEADS, CONTEXT, HEAD_DIM]);
    cache.append(new(), new()).expect("room");
    let groups = |sizes: &[usize]| Groups::new(sizes.to_vec(), HEADS).expect("sizes of all heads");
    let options = AttentionOptions::causal();
    for (name, groups) in [("uniform", groups(&[HEADS / KV_HEADS; KV_HEADS])), ("ragged", groups(&RAGGED))] {
        let mut group = criterion.benchmark_group(format!("decode/{name}"));
        group.sampling_mode(SamplingMode::Flat);
        for n_threads in [1, 2] {
            group.bench_function(format!("threads_{n_threads}"), |bencher| {
                let pool =
                    rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads start");
                let attend = || cache.attend(q.clone(), &groups, &options).expect("shapes fit");
                pool.install(|| bencher.iter(|| black_box(attend())));
            });
        }
        group.finish();
    }
    // What it costs to give each query head its own copy of its keys and values first.
    let groups = groups(&RAGGED);
    let of_head = groups.heads().enumerate().flat_map(|(group, heads)| vec![group as i32; heads.len()]);
    let of_head = Tensor::from_ints(of_head.collect::<Vec<_>>().as_slice(), &device);
    let each = Groups::uniform(HEADS, HEADS).expect("one a head");
    let mut group = criterion.benchmark_group("decode/gathered");
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("threads_1", |bencher| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("threads start");
        let attend = || {
            let [k, v] = [cache.keys(), cache.values()].map(|x| x.select(1, of_head.clone()));
            grouped_attention(q.clone(), k, v, each.sizes(), &options).expect("shapes fit")
        };
        pool.install(|| bencher.iter(|| black_box(attend())));
    });
    group.finish();
}

// A token takes from 2 ms to 30 ms: each of twenty samples is some passes in a row.
criterion_group!(
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = decode
);
criterion_main!(benches);
