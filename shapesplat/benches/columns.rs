//! Reading 14 of the 62 columns of a million Gaussians: positions, opacities, scales, rotations and colours.
//!
//! CPU time. The file is made by the example `million_gaussians` where the environment variable `MILLION_PLY` does not name one.

#[allow(dead_code, reason = "its main is not run")]
#[path = "../examples/million_gaussians.rs"]
mod million_gaussians;

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use grouping_core::files::output::Existing;
use grouping_core::testing::CpuTime;
use shapesplat::format::{WriteOptions, read_degree_0, write};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn columns(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("columns_cpu");
    group.sample_size(20).sampling_mode(SamplingMode::Flat);
    let folder = tempfile::tempdir().expect("a folder");
    let mut made = None;
    group.bench_function("14_of_62", |bencher| {
        let path = made.get_or_insert_with(|| match std::env::var_os("MILLION_PLY") {
            Some(path) => PathBuf::from(path),
            None => {
                let path = folder.path().join("million.ply");
                let splats = million_gaussians::random(1_000_000, 7);
                write(&splats, &path, Existing::Replace, &WriteOptions::default()).expect("written");
                path
            }
        });
        bencher.iter(|| black_box(read_degree_0(path).expect("read")));
    });
    group.finish();
}

criterion_group!(name = cpu_time_of_process; config = Criterion::default().with_measurement(CpuTime); targets = columns);
criterion_main!(cpu_time_of_process);
