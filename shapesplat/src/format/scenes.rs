//! Scenes for tests, and a file of each format.

use std::path::Path;

use super::{WriteOptions, dot_splat, glb, ksplat, sog, spz};
use crate::splats::REST;
use crate::{Result, Splats};

pub(super) type Read = fn(&[u8], &Path) -> Result<Splats>;

pub(super) fn read_spz(bytes: &[u8], path: &Path) -> Result<Splats> {
    spz::read(bytes, path, &mut Vec::new())
}

/// A scene of `n` Gaussians whose values follow from `seed`.
pub(super) fn scene(n: usize, degree: usize, seed: u64) -> Splats {
    let mut column = 0;
    let mut next = |least: f32, greatest: f32| {
        column += 1;
        let value = |row: usize| {
            let number = grouping_core::seed::sequence(seed, (column * n + row) as u64) >> 40;
            least + (greatest - least) * (number as f32 / (1u32 << 24) as f32)
        };
        (0..n).map(value).collect::<Vec<f32>>()
    };
    Splats {
        positions: std::array::from_fn(|_| next(-9.0, 9.0)),
        scales: std::array::from_fn(|_| next(-8.0, 1.0)),
        rotations: std::array::from_fn(|_| next(-1.0, 1.0)),
        opacities: next(-6.0, 6.0),
        dc: std::array::from_fn(|_| next(-1.7, 1.7)),
        rest: (0..REST[degree]).map(|_| next(-0.9, 0.9)).collect(),
        ..Splats::default()
    }
}

pub(super) fn spz_options(version: u32) -> WriteOptions {
    WriteOptions { spz_version: version, ..WriteOptions::default() }
}

pub(super) fn spz_bytes(splats: &Splats, version: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    spz::write(splats, &spz_options(version), &mut bytes).expect("written");
    bytes
}

/// A file of each format, with its reader.
pub(super) fn files(splats: &Splats) -> Vec<(String, Vec<u8>, Read)> {
    let mut files: Vec<(String, Vec<u8>, Read)> = (2..=4)
        .map(|version| (format!("{version}.spz"), spz_bytes(splats, version), read_spz as Read))
        .collect();
    let mut bytes = Vec::new();
    dot_splat::write(splats, &mut bytes).expect("written");
    files.push((".splat".into(), bytes, dot_splat::read));
    let mut bytes = Vec::new();
    glb::write(splats, &mut bytes).expect("written");
    files.push((".glb".into(), bytes, glb::read));
    let mut bytes = Vec::new();
    sog::write(splats, &mut bytes).expect("written");
    files.push((".sog".into(), bytes, sog::read));
    for (name, bytes) in [
        ("0.ksplat", &include_bytes!("../../tests/data/formats/level-0.ksplat")[..]),
        ("1.ksplat", include_bytes!("../../tests/data/formats/level-1.ksplat")),
        ("2.ksplat", include_bytes!("../../tests/data/formats/level-2.ksplat")),
    ] {
        files.push((name.into(), bytes.to_vec(), ksplat::read));
    }
    files
}
