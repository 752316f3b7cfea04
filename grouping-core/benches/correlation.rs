//! Pearson correlations of 4,096 rows of 100,000 values on two threads: the channels of a wide layer on a calibration set.
//!
//! NumPy's on the same work is in `oracles/grouping-core/bench_correlation.py`.

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use grouping_core::correlation::{Measure, correlation_within};
use grouping_core::matrix::Matrix;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const N_ROWS: usize = 4096;
const N_COLS: usize = 100_000;

fn pearson(c: &mut Criterion) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let x = Matrix::from_fn(N_ROWS, N_COLS, |_, _| (rng.next_u32() >> 8) as f32);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
    let mut group = c.benchmark_group("correlation");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.bench_function("pearson", |bench| {
        pool.install(|| bench.iter(|| correlation_within(x.view(), Measure::Pearson).expect("finite rows")));
    });
    group.finish();
}

criterion_group!(benches, pearson);
criterion_main!(benches);
