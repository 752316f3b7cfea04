//! Reading an OFF as large as ModelNet's airplane_0527: 35,013 vertices and 35,331 faces.
//!
//! CPU time. `oracles/shapesplat/meshes.py` writes the same text for trimesh.

use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use grouping_core::testing::CpuTime;
use shapesplat::mesh::{Format, Mesh};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const N_VERTICES: u32 = 35_013;
const N_FACES: u32 = 35_331;

/// Vertices and faces without an order, with four decimals.
fn off() -> String {
    let mut text = format!("OFF\n{N_VERTICES} {N_FACES} 0\n");
    for i in 0..N_VERTICES {
        let [x, y, z] =
            [7919, 104_729, 1_299_709].map(|step| f64::from(i.wrapping_mul(step) % 1_000_003) / 1000.0);
        let _ = writeln!(text, "{x:.4} {y:.4} {z:.4}");
    }
    for i in 0..N_FACES {
        let [a, b, c] = [0, 1, 2].map(|corner| (i + 11_003 * corner) % N_VERTICES);
        let _ = writeln!(text, "3 {a} {b} {c}");
    }
    text
}

fn meshes(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("meshes_cpu");
    group.sample_size(20).sampling_mode(SamplingMode::Flat);
    let text = off();
    group.bench_function("off_35013", |bencher| {
        bencher.iter(|| {
            let bytes = text.clone().into_bytes();
            black_box(Mesh::read(bytes, Format::Off, Path::new("bench.off")).expect("a mesh"))
        });
    });
    group.finish();
}

criterion_group!(name = cpu_time_of_process; config = Criterion::default().with_measurement(CpuTime); targets = meshes);
criterion_main!(cpu_time_of_process);
