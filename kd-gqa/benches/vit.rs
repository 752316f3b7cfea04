//! ViT-S/16 and ViT-B/16 at 224 pixels, one image and eight, with a key/value head a query head and with half as many, on one thread and two.
//!
//! Names as in `oracles/kd-gqa/bench_vit.py`: `vit/small_mha_b1/threads_1`. `vit_cpu/small_mha_b1/threads_2` is the CPU time of the same: on one
//! thread it is the wall time.

use std::hint::black_box;
use std::time::Duration;

use burn::tensor::{Device, Distribution, Tensor};
use criterion::measurement::Measurement;
use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use grouping_core::testing::CpuTime;
use kd_gqa::vit::{VitConfig, VitSize};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn vit<M: Measurement<Value: Send> + Sync>(criterion: &mut Criterion<M>, name: &str, threads: &[usize]) {
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
                let mut group = criterion.benchmark_group(format!("{name}/{size_name}_{kind}_b{batch}"));
                // A pass takes from 0.05 s to 3 s: ten of the long ones, and the short ones for a second and a half.
                group.sample_size(10).sampling_mode(SamplingMode::Flat);
                group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_millis(1500));
                for &n_threads in threads {
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

fn wall(criterion: &mut Criterion) {
    vit(criterion, "vit", &[1, 2]);
}

fn cpu(criterion: &mut Criterion<CpuTime>) {
    vit(criterion, "vit_cpu", &[2]);
}

criterion_group!(wall_time, wall);
criterion_group!(name = cpu_time_of_process; config = Criterion::default().with_measurement(CpuTime); targets = cpu);
criterion_main!(wall_time, cpu_time_of_process);
