//! ViT-S/16 and ViT-B/16 at 224 pixels, one image and eight, with a key/value head a query head and with half as many, on one thread and two.
//!
//! Names as in `oracles/kd-gqa/bench_vit.py`: `vit/small_mha_b1/threads_1`.

use std::hint::black_box;

use burn::tensor::{Device, Distribution, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use kd_gqa::vit::{VitConfig, VitSize};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn vit(criterion: &mut Criterion) {
    let device = Device::flex();
    device.seed(0);
    for (size, size_name) in [(VitSize::Small, "small"), (VitSize::Base, "base")] {
        for kind in ["mha", "gqa"] {
            let config = VitConfig::of_size(size, 224, 16, 1000);
            let n_kv_heads = if kind == "mha" { config.n_heads } else { config.n_heads / 2 };
            let config = config.with_kv_heads(n_kv_heads).expect("a divisor");
            // Made when a benchmark of it is chosen.
            let mut model = None;
            for batch in [1, 8] {
                let mut group = criterion.benchmark_group(format!("vit/{size_name}_{kind}_b{batch}"));
                group.sample_size(10);
                for n_threads in [1, 2] {
                    group.bench_function(format!("threads_{n_threads}"), |bencher| {
                        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build();
                        let pool = pool.expect("threads start");
                        let model = model.get_or_insert_with(|| config.init(0, &device).expect("a model"));
                        let shape = [batch, 3, 224, 224];
                        let images = Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
                        let forward = || model.forward(images.clone()).expect("images that fit");
                        pool.install(|| bencher.iter(|| black_box(forward())));
                    });
                }
                group.finish();
            }
        }
    }
}

criterion_group!(benches, vit);
criterion_main!(benches);
