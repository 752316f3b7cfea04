//! Real files through every format; skipped without `GROUPING_DATA`.

use std::io::Write;
use std::path::{Path, PathBuf};

use grouping_core::files::output::Existing;
use shapesplat::Splats;
use shapesplat::format::{self, WriteOptions, Written};

/// A file of the data folder; `None` without one.
fn real(name: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("GROUPING_DATA") else {
        let _ = writeln!(std::io::stderr(), "skipped: {name} needs GROUPING_DATA");
        return None;
    };
    let path = Path::new(&folder).join("splats").join(name);
    assert!(path.is_file(), "{} is missing", path.display());
    Some(path)
}

fn through(splats: &Splats, name: &str, options: &WriteOptions) -> (Splats, Written, u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    let told =
        format::write(splats, &path, Existing::Refuse, options).unwrap_or_else(|error| panic!("{error}"));
    let length = path.metadata().expect("an output").len();
    (format::read(&path).unwrap_or_else(|error| panic!("{error}")), told, length)
}

#[test]
fn a_burger_goes_through_every_format() {
    let Some(path) = real("burger.ply") else { return };
    let splats = format::read(&path).expect("read");
    let (n, plain) = (splats.len(), WriteOptions::default());
    // The greatest errors of positions and colours; bytes a Gaussian at most.
    let cases = [
        ("a.splat", 0.0, 0.007, 32.0),
        ("a.spz", 1.3e-4, 0.0132, 20.0),
        ("a.sog", 3e-5, 0.03, 20.0),
        ("a.glb", 0.0, 0.0, 61.0),
    ];
    for (name, position, colour, bytes) in cases {
        let (read, told, length) = through(&splats, name, &plain);
        assert_eq!((read.len(), told.count), (n, n), "{name}: count");
        assert!(
            read.columns().iter().all(|(_, column)| column.iter().all(|v| v.is_finite())),
            "{name}: finite"
        );
        let greatest =
            |property: &str| told.errors.iter().find(|e| e.property == property).map_or(0.0, |e| e.greatest);
        assert!(greatest("position") <= position, "{name}: positions by {}", greatest("position"));
        // Colours outside 0 to 1 are lost in a .splat alone.
        assert!(
            name == "a.splat" || greatest("colour") <= colour,
            "{name}: colours by {}",
            greatest("colour")
        );
        // burger.ply's quaternions have norms of 0.003 to 0.015; they are turns all the same.
        assert!(greatest("rotation") < 1e-4, "{name}: turns by {}", greatest("rotation"));
        assert!(length as f64 <= bytes * n as f64 + 4096.0, "{name}: {length} bytes");
        if told.keeps_order {
            let pairs = read.positions.iter().flatten().zip(splats.positions.iter().flatten());
            let error = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(f64::from(error) <= position + 1e-6, "{name}: rows are where they were, to {error}");
        }
    }
    let (_, told, _) = through(&splats, "a.spz", &plain);
    assert!(told.dropped.iter().any(|said| said.contains("scales below e^-10")), "{:?}", told.dropped);
}

#[test]
fn a_splat_comes_back_to_its_bytes() {
    let Some(path) = real("model.splat") else { return };
    let splats = format::read(&path).expect("read");
    assert_eq!(splats.len(), 17_725, "rows");
    let (again, told, _) = through(&splats, "a.splat", &WriteOptions::default());
    assert_eq!(again.positions, splats.positions, "positions");
    assert_eq!((again.dc, again.opacities), (splats.dc, splats.opacities), "colours and alphas");
    assert_eq!(told.dropped, [""; 0], "nothing is lost");
}

#[test]
fn minimal_files_hold_four_splats() {
    for name in ["minimal.splat", "minimal-v2.spz", "minimal-v3.spz"] {
        let Some(path) = real(name) else { return };
        assert_eq!(format::read(&path).expect("read").len(), 4, "{name}");
    }
    let Some(path) = real("minimal-v2.spz") else { return };
    let second = format::read(&path).expect("read");
    let first = second.rotations.each_ref().map(|part| part[0]);
    for (a, b) in first.into_iter().zip([1.0, 0.0039, 0.0039, 0.0039]) {
        assert!((a - b).abs() < 1e-4, "the first rotation: {first:?}");
    }
    assert!((second.positions[2][0] + 1.0).abs() < 1e-3, "the first z: {}", second.positions[2][0]);
}
