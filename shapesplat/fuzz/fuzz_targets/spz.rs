//! `.spz` files: columns that the input draws in each container, and records of extensions: `cargo fuzz run spz`.
#![no_main]

use std::path::Path;

use grouping_core::files::output::Existing;
use shapesplat::format::{WriteOptions, load_bytes, read, write};
use shapesplat::splats::Bad;

/// A file of version 1 to 3 without its gzip, with as many Gaussians as the columns have bytes for.
fn plain(version: u8, degree: u8, bits: u8, flags: u8, columns: &[u8]) -> Vec<u8> {
    let coefficients = 3 * (usize::from(degree + 1).pow(2) - 1);
    let row = [0, 16, 19, 20][usize::from(version)] + coefficients;
    let n = (columns.len() / row) as u32;
    let mut file = [&b"NGSP"[..], &u32::from(version).to_le_bytes(), &n.to_le_bytes()].concat();
    file.extend([degree, bits, flags, 0]);
    file.extend_from_slice(columns);
    file
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = load_bytes(bytes, Path::new("in.spz"), Bad::Keep);
    let Some((&[version, degree, bits, flags], columns)) = bytes.split_first_chunk() else { return };
    let file = plain(version % 3 + 1, degree % 5, bits, flags, columns);
    let Ok(loaded) = load_bytes(&file, Path::new("in.spz"), Bad::Drop) else { return };
    if loaded.splats.is_empty() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for version in 2..=4 {
        let path = folder.path().join(format!("{version}.spz"));
        let mut options = WriteOptions::default();
        options.spz_version = version;
        // Fractional bits of a hostile header put positions anywhere within 24 bits.
        let Ok(written) = write(&loaded.splats, &path, Existing::Refuse, &options) else { continue };
        let again = read(&path).expect("what is written is read");
        assert_eq!((again.len(), written.count), (loaded.splats.len(), loaded.splats.len()), "every Gaussian");
        assert_eq!(again.opacities, loaded.splats.opacities, "bytes come back");
        assert_eq!(again.scales, loaded.splats.scales, "bytes come back");
    }
});
