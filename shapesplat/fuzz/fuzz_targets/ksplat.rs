//! `.ksplat` files: sections, buckets and rows that the input draws, behind a header that fits: `cargo fuzz run ksplat`.
#![no_main]

use std::path::Path;

use shapesplat::format::load_bytes;
use shapesplat::splats::Bad;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = load_bytes(bytes, Path::new("in.ksplat"), Bad::Keep);
    let Some((&[level, n, room, n_buckets, n_full, n_partial, bucket, degree], body)) = bytes.split_first_chunk() else {
        return;
    };
    let mut file = vec![0; 4096 + 1024];
    file[1] = 1;
    file[4] = 1;
    file[16] = n;
    file[20] = level % 3;
    let section = &mut file[4096..];
    for (at, value) in [(0, n), (4, room), (8, bucket), (12, n_buckets), (20, 12), (32, n_full), (36, n_partial)] {
        section[at] = value;
    }
    section[40] = degree % 4;
    file.extend_from_slice(body);
    if let Ok(loaded) = load_bytes(&file, Path::new("in.ksplat"), Bad::Keep) {
        assert_eq!(loaded.splats.len(), usize::from(n), "as many as the header says");
    }
});
