//! Files that are cut, changed or made to claim too much are refused or read, and never more.

use std::path::Path;

use proptest::prelude::*;

use super::scenes::{Read, files, read_spz, scene};
use super::{dot_splat, glb, ksplat, sog};

#[test]
fn a_file_that_was_cut_is_refused_at_every_length() {
    for degree in [0, 2] {
        for (name, bytes, read) in files(&scene(3, degree, 1)) {
            read(&bytes, Path::new(&name)).unwrap_or_else(|error| panic!("{name} is read whole: {error}"));
            for length in 0..bytes.len() {
                let whole_rows = name == ".splat" && length > 0 && length % 32 == 0;
                let found = read(&bytes[..length], Path::new(&name));
                match found {
                    Err(error) => assert!(error.to_string().starts_with(&name), "{error} names the file"),
                    Ok(_) => assert!(whole_rows, "{name}, cut at {length} of {}, was read", bytes.len()),
                }
            }
        }
    }
}

#[test]
fn a_changed_byte_is_refused_or_read() {
    for (name, bytes, read) in files(&scene(3, 1, 2)) {
        let mut changed = bytes.clone();
        // Of long files, all of the headers and every third byte behind them.
        for at in (0..bytes.len()).filter(|at| *at < 600 || at % 3 == 0) {
            for change in [0xff, 1 << (at % 8)] {
                changed[at] ^= change;
                if let Ok(splats) = read(&changed, Path::new(&name)) {
                    assert!(splats.len() <= 1 << 18, "{name}: byte {at} makes {} Gaussians", splats.len());
                }
                changed[at] = bytes[at];
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_refused_or_read(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), which in 0..5usize) {
        let read = [read_spz as Read, dot_splat::read, glb::read, sog::read, ksplat::read][which];
        let starts: [&[u8]; 5] = [b"NGSP\x04\0\0\0", b"", b"glTF\x02\0\0\0", b"PK\x03\x04", &[0, 1, 0, 0]];
        bytes.splice(..0, starts[which].iter().copied());
        let _ = read(&bytes, Path::new("a"));
    }

}
