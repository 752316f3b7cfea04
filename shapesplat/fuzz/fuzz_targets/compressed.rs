//! Compressed PLY files: chunks, words and bytes that the input draws, behind a header that fits: `cargo fuzz run compressed`.
#![no_main]

use std::path::Path;

use grouping_core::files::output::Existing;
use shapesplat::format::{WriteOptions, load_bytes, read, write};
use shapesplat::splats::Bad;

/// A header of so many Gaussians with their chunks.
fn header(n: usize, n_rest: usize) -> String {
    let axes = ["x", "y", "z", "scale_x", "scale_y", "scale_z", "r", "g", "b"];
    let mut text = format!("ply\nformat binary_little_endian 1.0\nelement chunk {}\n", n.div_ceil(256));
    for three in axes.chunks(3) {
        for bound in ["min", "max"] {
            three.iter().for_each(|axis| text += &format!("property float {bound}_{axis}\n"));
        }
    }
    text += &format!("element vertex {n}\n");
    for word in ["position", "rotation", "scale", "color"] {
        text += &format!("property uint packed_{word}\n");
    }
    if n_rest > 0 {
        text += &format!("element sh {n}\n");
        (0..n_rest).for_each(|i| text += &format!("property uchar f_rest_{i}\n"));
    }
    text + "end_header\n"
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = load_bytes(bytes, Path::new("in.compressed.ply"), Bad::Keep);
    let Some((&first, body)) = bytes.split_first() else { return };
    let n_rest = [0, 9, 24, 45][usize::from(first % 4)];
    let n = usize::from(first / 4);
    let file = [header(n, n_rest).as_bytes(), body].concat();
    let Ok(loaded) = load_bytes(&file, Path::new("in.compressed.ply"), Bad::Drop) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.compressed.ply");
    write(&loaded.splats, &path, Existing::Refuse, &WriteOptions::default()).expect("sound values are written");
    assert_eq!(read(&path).expect("and read").len(), loaded.splats.len(), "every Gaussian");
});
