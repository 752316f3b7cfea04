//! Formats of others: their files are read as they read them, ours are theirs. The files come from `oracles/shapesplat/formats.py`.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use grouping_core::files::output::Existing;
use shapesplat::Splats;
use shapesplat::format::{self, WriteOptions, Written};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats").join(name)
}

fn read(name: &str) -> Splats {
    format::read(&data(name)).unwrap_or_else(|error| panic!("{error}"))
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(data(name)).expect("a file of the oracle")
}

/// The bytes of `splats` in the format of `name`.
fn written(splats: &Splats, name: &str, options: &WriteOptions) -> (Vec<u8>, Written) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    let told =
        format::write(splats, &path, Existing::Refuse, options).unwrap_or_else(|error| panic!("{error}"));
    (std::fs::read(&path).expect("an output"), told)
}

fn spz(version: u32) -> WriteOptions {
    let mut options = WriteOptions::default();
    options.spz_version = version;
    options
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut content).expect("gzip");
    content
}

/// The streams of a version 4 file, joined, and the header without the table.
fn unpacked(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes")) as usize;
    let n_streams = usize::from(bytes[15]);
    let (mut at, mut joined) = (32 + 16 * n_streams, Vec::new());
    for stream in 0..n_streams {
        let (packed, unpacked) = (number(32 + 16 * stream), number(40 + 16 * stream));
        joined.extend(zstd::bulk::decompress(&bytes[at..at + packed], unpacked).expect("zstd"));
        at += packed;
    }
    assert_eq!(at, bytes.len(), "the streams fill the file");
    (bytes[..32].to_vec(), joined)
}

/// Every value is that of the other reader to a few roundings of 32 bits.
fn assert_alike(found: &Splats, expected: &Splats, what: &str) {
    assert_near(found, expected, 2e-6, what);
}

fn assert_near(found: &Splats, expected: &Splats, share: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: count");
    assert_eq!(found.degree(), expected.degree(), "{what}: degree");
    for ((name, found), (_, expected)) in found.columns().iter().zip(expected.columns()) {
        for (row, (a, b)) in found.iter().zip(expected).enumerate() {
            assert!(
                (a - b).abs() <= share * b.abs().max(1.0),
                "{what}: {name}, row {row}: {a}, and {b} is expected"
            );
        }
    }
}

#[test]
fn spz_is_written_as_splat_transform_and_gaussforge_write_it() {
    for degree in 0..=3 {
        let splats = read(&format!("degree-{degree}.ply"));
        for version in [2, 3] {
            let name = format!("degree-{degree}.v{version}.spz");
            let (ours, theirs) = (gunzip(&written(&splats, &name, &spz(version)).0), gunzip(&bytes(&name)));
            let differ: Vec<usize> =
                (0..theirs.len().max(ours.len())).filter(|&i| ours.get(i) != theirs.get(i)).collect();
            assert!(differ.is_empty(), "{name}: the bytes {differ:?} of {}", theirs.len());
        }
        let name = format!("degree-{degree}.v4.spz");
        let (ours, theirs) = (unpacked(&written(&splats, &name, &spz(4)).0), unpacked(&bytes(&name)));
        assert!(ours == theirs, "{name}: header and streams");
        let third = gunzip(&written(&splats, "3.spz", &spz(3)).0);
        assert!(ours.1 == third[16..], "{name}: the streams are version 3's columns");
    }
}

#[test]
fn spz_is_read_as_splat_transform_reads_it() {
    for degree in 0..=3 {
        let name = format!("degree-{degree}.v4.spz");
        assert_alike(&read(&name), &read(&format!("{name}.ply")), &name);
    }
    for name in ["degree-0.v2.spz", "degree-2.v2.spz"] {
        // w is the root of what x, y and z leave of 1: where that is little, roundings count more.
        assert_near(&read(name), &read(&format!("{name}.ply")), 1e-5, name);
    }
    assert_alike(&read("degree-3.v3.spz"), &read("degree-3.v4.spz"), "version 3");
}

#[test]
fn version_1_holds_half_floats() {
    let (found, given) = (read("degree-0.v1.spz"), read("degree-0.ply"));
    for axis in 0..3 {
        for (a, b) in found.positions[axis].iter().zip(&given.positions[axis]) {
            // 11 bits.
            assert!((a - b).abs() <= b.abs() / 2048.0, "a position of {b} is read as {a}");
        }
    }
    assert_eq!(found.antialiased, Some(true), "the flag");
    let second = read("degree-0.v2.spz");
    assert_eq!((found.scales, found.dc), (second.scales, second.dc), "other columns are version 2's");
    assert_eq!((found.rotations, found.opacities), (second.rotations, second.opacities), "and these");
}

#[test]
fn dot_splat_is_gaussforges_and_is_read_as_splat_transform_reads_it() {
    assert_alike(&read("degree-0.splat"), &read("degree-0.splat.ply"), ".splat");
    let (ours, theirs) =
        (written(&read("degree-0.ply"), "a.splat", &WriteOptions::default()).0, bytes("degree-0.splat"));
    assert_eq!(ours.len(), theirs.len(), "32 bytes a row");
    for (row, (ours, theirs)) in ours.chunks(32).zip(theirs.chunks(32)).enumerate() {
        assert_eq!(ours[..12], theirs[..12], "row {row}: the order and the position");
        for i in 3..6 {
            let float =
                |bytes: &[u8]| f32::from_le_bytes(bytes[4 * i..4 * i + 4].try_into().expect("4 bytes"));
            let (a, b) = (float(ours), float(theirs));
            assert!((a - b).abs() <= 1e-6 * b, "row {row}: scale {a}, and {b} is gaussforge's");
        }
        for i in 24..32 {
            // Ours are the nearest bytes, gaussforge's are cut off.
            assert!(ours[i].abs_diff(theirs[i]) <= 1, "row {row}, byte {i}: {} and {}", ours[i], theirs[i]);
        }
    }
}

#[test]
fn ksplat_of_every_level_is_read_as_splat_transform_reads_it() {
    for level in 0..3 {
        let name = format!("level-{level}.ksplat");
        assert_alike(&read(&name), &read(&format!("{name}.ply")), &name);
    }
}

#[test]
fn ksplat_of_gaussforge_is_read() {
    // Of degree 2 gaussforge lays the eight coefficients of a channel one after another, where GaussianSplats3D, whose format it is, has
    // the three of degree 1 of each channel first.
    for degree in 0..2 {
        let (found, given) =
            (read(&format!("degree-{degree}.gaussforge.ksplat")), read(&format!("degree-{degree}.ply")));
        assert_eq!((found.len(), found.degree()), (given.len(), given.degree()), "degree {degree}");
        for (a, b) in found.positions.iter().flatten().zip(given.positions.iter().flatten()) {
            assert!(
                (a - b).abs() <= 0.01 * b.abs().max(1.0),
                "degree {degree}: a position of {b} is read as {a}"
            );
        }
        for (a, b) in found.rest.iter().flatten().zip(given.rest.iter().flatten()) {
            assert!((a - b).abs() <= 0.02, "degree {degree}: a coefficient of {b} is read as {a}");
        }
    }
}

/// The JSON and the binary chunk of a `.glb`.
fn chunks(bytes: &[u8]) -> (serde_json::Value, &[u8]) {
    let length = u32::from_le_bytes(bytes[12..16].try_into().expect("4 bytes")) as usize;
    (serde_json::from_slice(&bytes[20..20 + length]).expect("JSON"), &bytes[28 + length..])
}

#[test]
fn glb_holds_the_attributes_of_splat_transform_with_unit_quaternions_and_linear_colours() {
    for degree in 0..=3 {
        let (ours, theirs) = (
            written(&read(&format!("degree-{degree}.ply")), "a.glb", &WriteOptions::default()).0,
            bytes(&format!("degree-{degree}.glb")),
        );
        let ((ours, our_bytes), (theirs, their_bytes)) = (chunks(&ours), chunks(&theirs));
        let primitive = |json: &serde_json::Value| json["meshes"][0]["primitives"][0].clone();
        let (our_primitive, their_primitive) = (primitive(&ours), primitive(&theirs));
        assert_eq!(
            our_primitive["extensions"], their_primitive["extensions"],
            "kernel, colour space, sorting"
        );
        assert_eq!(our_primitive["mode"], 0, "points");
        let names = |primitive: &serde_json::Value| {
            let attributes = primitive["attributes"].as_object().expect("attributes");
            attributes.keys().cloned().collect::<std::collections::BTreeSet<String>>()
        };
        assert_eq!(names(&our_primitive), names(&their_primitive), "attributes");
        for name in names(&our_primitive) {
            let view = |json: &serde_json::Value, primitive: &serde_json::Value, bytes: &[u8]| {
                let accessor =
                    &json["accessors"][primitive["attributes"][&name].as_u64().expect("an index") as usize];
                let view = &json["bufferViews"][accessor["bufferView"].as_u64().expect("a view") as usize];
                let [from, length] =
                    ["byteOffset", "byteLength"].map(|key| view[key].as_u64().expect("a number") as usize);
                let form =
                    (accessor["componentType"].clone(), accessor["type"].clone(), accessor["count"].clone());
                (form, accessor["min"].clone(), bytes[from..from + length].to_vec())
            };
            let (ours, theirs) =
                (view(&ours, &our_primitive, our_bytes), view(&theirs, &their_primitive, their_bytes));
            assert_eq!(ours.0, theirs.0, "{name}: its form");
            let floats = |bytes: &[u8]| {
                bytes.chunks(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect::<Vec<f32>>()
            };
            match name.as_str() {
                // Theirs are as in sRGB; the extension wants them linear.
                "COLOR_0" => {
                    for (ours, theirs) in ours.2.chunks(4).zip(theirs.2.chunks(4)) {
                        assert_eq!(ours[3], theirs[3], "alpha");
                        for i in 0..3 {
                            let srgb = f64::from(theirs[i]) / 255.0;
                            let linear = if srgb <= 0.04045 {
                                srgb / 12.92
                            } else {
                                ((srgb + 0.055) / 1.055).powf(2.4)
                            };
                            // Theirs is rounded: half a step, at most 2.3 times as long there.
                            assert!(
                                (linear * 255.0 - f64::from(ours[i])).abs() < 1.7,
                                "{} of {}",
                                ours[i],
                                theirs[i]
                            );
                        }
                    }
                }
                "KHR_gaussian_splatting:ROTATION" => {
                    for (ours, theirs) in floats(&ours.2).chunks(4).zip(floats(&theirs.2).chunks(4)) {
                        let length = theirs.iter().map(|v| v * v).sum::<f32>().sqrt();
                        let same = ours.iter().zip(theirs).all(|(a, b)| (a - b / length).abs() < 1e-5);
                        let opposite = ours.iter().zip(theirs).all(|(a, b)| (a + b / length).abs() < 1e-5);
                        assert!(same || opposite, "{ours:?} and {theirs:?}");
                    }
                }
                _ => {
                    for (a, b) in floats(&ours.2).into_iter().zip(floats(&theirs.2)) {
                        assert!(
                            (a - b).abs() <= 2e-6 * b.abs().max(1.0),
                            "{name}: {a}, and {b} is splat-transform's"
                        );
                    }
                    assert_eq!(ours.1, theirs.1, "{name}: bounds");
                }
            }
        }
    }
}

#[test]
fn glb_of_splat_transform_is_read() {
    for degree in 0..=3 {
        let (mut found, mut given) =
            (read(&format!("degree-{degree}.glb")), read(&format!("degree-{degree}.ply")));
        // Alphas of 32 bits do not tell logits of 30 from those next to 1.
        for splats in [&mut found, &mut given] {
            splats.opacities.iter_mut().for_each(|logit| *logit = 1.0 / (1.0 + (-*logit).exp()));
        }
        assert_alike(&found, &given, &format!("degree {degree}"));
    }
}

#[test]
fn sog_is_read_as_splat_transform_reads_it() {
    for degree in 0..=3 {
        let name = format!("degree-{degree}.sog");
        assert_alike(&read(&name), &read(&format!("{name}.ply")), &name);
    }
}

#[test]
fn sog_is_at_least_as_near_as_splat_transforms() {
    for degree in 0..=3 {
        let given = read(&format!("degree-{degree}.ply"));
        let told = written(&given, "a.sog", &WriteOptions::default()).1;
        let theirs = read(&format!("degree-{degree}.sog"));
        // Which row is which: positions are kept to a thousandth.
        let row = |i: usize| {
            let distance = |j: usize| {
                (0..3)
                    .map(|axis| f64::from(given.positions[axis][i] - theirs.positions[axis][j]).powi(2))
                    .sum::<f64>()
            };
            (0..theirs.len()).min_by(|&a, &b| distance(a).total_cmp(&distance(b))).expect("a row")
        };
        let mean = |ours: &[Vec<f32>], theirs: &[Vec<f32>]| {
            let errors = ours.iter().zip(theirs).flat_map(|(a, b)| {
                a.iter().enumerate().map(|(i, v)| f64::from(v - b[row(i)]).abs()).collect::<Vec<f64>>()
            });
            let errors: Vec<f64> = errors.collect();
            errors.iter().sum::<f64>() / errors.len().max(1) as f64
        };
        for (property, ours, theirs) in [
            ("position", &given.positions[..], &theirs.positions[..]),
            ("scale", &given.scales, &theirs.scales),
            ("colour", &given.dc, &theirs.dc),
            ("sh", &given.rest, &theirs.rest),
        ] {
            let ours_told = told.errors.iter().find(|e| e.property == property).map_or(0.0, |e| e.mean);
            let theirs = mean(ours, theirs);
            assert!(
                ours_told <= 1.1 * theirs + 1e-9,
                "degree {degree}, {property}: {ours_told}, and theirs is {theirs}"
            );
        }
    }
}
