//! k-means on the shapes of a Llama-2-7B merge, and of a plain clustering job.
//!
//! `modules`: 7 adapters of rank 8 on all linear layers: 32 × (q, k, v, o: 4096 + 4096; gate, up: 4096 + 11008; down:
//! 11008 + 4096) = 224 problems of 56 points, into 8 clusters with 10 restarts, Gram matrices included. One layer's
//! factors are held for each shape and used again by the others.
//!
//! `direct`: 100,000 points in 64 dimensions into 64 clusters, 30 iterations from given points; and other shapes of as many products: into
//! few clusters, and in many dimensions.
//!
//! The references on the same work are in `oracles/grouping-core/bench_kmeans.py`.

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use grouping_core::cluster::{Init, KMeansConfig};
use grouping_core::low_rank::{Gram, column_gram, row_gram};
use grouping_core::matrix::{Matrix, MatrixRef};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

const N_ADAPTERS: usize = 7;
const RANK: usize = 8;
const N_LAYERS: usize = 32;
/// `(d_in, d_out)` of a layer's modules: q, k, v, o, gate, up, down.
const LAYER: [(usize, usize); 7] =
    [(4096, 4096), (4096, 4096), (4096, 4096), (4096, 4096), (4096, 11008), (4096, 11008), (11008, 4096)];

/// The factors of one module: `A [rank, d_in]` and `B [d_out, rank]` of each adapter.
struct Module {
    a: Vec<Matrix>,
    b: Vec<Matrix>,
}

impl Module {
    fn random((d_in, d_out): (usize, usize), rng: &mut ChaCha8Rng) -> Self {
        let mut factors = |n_rows, n_cols| (0..N_ADAPTERS).map(|_| uniform(n_rows, n_cols, rng)).collect();
        Self { a: factors(RANK, d_in), b: factors(d_out, RANK) }
    }

    fn gram(&self) -> Gram {
        fn views(m: &[Matrix]) -> Vec<MatrixRef<'_>> {
            m.iter().map(Matrix::view).collect()
        }
        let of_a = row_gram(&views(&self.a)).expect("finite factors");
        let of_b = column_gram(&views(&self.b)).expect("finite factors");
        of_a.plus(&of_b).expect("as many rows of A as columns of B")
    }
}

fn uniform(n_rows: usize, n_cols: usize, rng: &mut ChaCha8Rng) -> Matrix {
    Matrix::from_fn(n_rows, n_cols, |_, _| rng.random_range(-1.0..1.0))
}

fn in_threads<T: Send>(n_threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build();
    pool.expect("a pool").install(work)
}

fn modules(c: &mut Criterion) {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let layer: Vec<Module> = LAYER.into_iter().map(|shape| Module::random(shape, &mut rng)).collect();
    let all: Vec<&Module> = (0..N_LAYERS).flat_map(|_| &layer).collect();
    let config = KMeansConfig::new(8);
    let mut group = c.benchmark_group("modules");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for n_threads in [1, 2] {
        group.bench_function(format!("threads_{n_threads}"), |bench| {
            in_threads(n_threads, || {
                bench.iter(|| {
                    let grams: Vec<Gram> = all.par_iter().map(|module| module.gram()).collect();
                    config.fit_gram_many(&grams).expect("valid problems")
                });
            });
        });
    }
    let grams: Vec<Gram> = all.iter().map(|module| module.gram()).collect();
    group.bench_function("clustering_alone", |bench| {
        in_threads(1, || bench.iter(|| config.fit_gram_many(&grams).expect("valid problems")));
    });
    group.finish();
}

fn direct(c: &mut Criterion) {
    let (n, d, k) = (100_000, 64, 64);
    let points = uniform(n, d, &mut ChaCha8Rng::seed_from_u64(2));
    let points: MatrixRef<'_> = points.view();
    let of = |k: usize| {
        KMeansConfig::new(k).with_init(Init::Points((0..k).collect())).with_max_iters(30).with_tolerance(0.0)
    };
    let config = of(k);
    let mut group = c.benchmark_group("direct");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for n_threads in [1, 2] {
        group.bench_function(format!("threads_{n_threads}"), |bench| {
            in_threads(n_threads, || bench.iter(|| config.fit(points).expect("a valid problem")));
        });
    }
    for (n, d, k) in [(800_000, 64, 8), (194_000, 64, 33), (12_500, 512, 64), (3_125, 2048, 64)] {
        let points = uniform(n, d, &mut ChaCha8Rng::seed_from_u64(3));
        let config = of(k);
        group.bench_function(format!("{n}x{d}_into_{k}"), |bench| {
            in_threads(1, || bench.iter(|| config.fit(points.view()).expect("a valid problem")));
        });
    }
    #[cfg(feature = "kmeans")]
    {
        group.bench_function("kmeans_crate_threads_1", |bench| {
            in_threads(1, || bench.iter(|| config.fit_by_kmeans_crate(points).expect("a valid problem")));
        });
    }
    group.finish();
}

criterion_group!(benches, modules, direct);
criterion_main!(benches);
