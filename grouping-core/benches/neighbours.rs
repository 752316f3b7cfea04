//! Farthest-point sampling and nearest neighbours of points in space, as point and splat encoders group them, on one thread.
//!
//! PyTorch and fpsample on the same work are in `oracles/grouping-core/bench_neighbours.py`.

use criterion::{Criterion, criterion_group, criterion_main};
use grouping_core::matrix::Matrix;
use grouping_core::neighbours::{FarthestConfig, farthest_points, nearest_points};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn points(n: usize) -> Matrix {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    Matrix::from_fn(n, 3, |_, _| (rng.next_u32() >> 8) as f32 / (1 << 24) as f32)
}

fn neighbours(c: &mut Criterion) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
    let mut group = c.benchmark_group("neighbours");
    for (n, n_samples) in [(1024, 64), (8192, 512)] {
        let points = points(n);
        let config = FarthestConfig::new(n_samples);
        let sample = || farthest_points(points.view(), &config).expect("samples");
        group.bench_function(format!("farthest_{n}_to_{n_samples}"), |bench| {
            pool.install(|| bench.iter(sample));
        });
        let samples = sample();
        let centres = Matrix::from_fn(n_samples, 3, |i, j| points.view().row(samples[i])[j]);
        group.bench_function(format!("nearest_32_of_{n}_to_{n_samples}"), |bench| {
            pool.install(|| {
                bench.iter(|| nearest_points(points.view(), centres.view(), 32).expect("neighbours"));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, neighbours);
criterion_main!(benches);
