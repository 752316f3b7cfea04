//! Archives of others, and those that claim too much.

use std::io::{Cursor, Write};
use std::path::Path;

use grouping_core::testing::assert_refused;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::image;
use super::read;
use crate::{Result, Splats};

const SIDES: (usize, usize) = (4, 4);

/// The files of a scene of three Gaussians.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let image = |pixels: Vec<[u8; 4]>| image::write(pixels, SIDES).expect("an image");
    let codes: Vec<f32> = (0..256).map(|i| i as f32 / 16.0 - 8.0).collect();
    let meta = json!({
        "version": 2,
        "count": 3,
        "means": {"mins": [0, 0, 0], "maxs": [1, 1, 1], "files": ["l.webp", "u.webp"]},
        "scales": {"codebook": codes, "files": ["s.webp"]},
        "quats": {"files": ["q.webp"]},
        "sh0": {"codebook": codes, "files": ["c.webp"]},
        "shN": {"count": 2, "bands": 1, "codebook": codes, "files": ["p.webp", "n.webp"]},
    });
    let mut palette = vec![[0, 0, 0, 255]; 3 * 64];
    palette[3] = [16, 32, 48, 255];
    vec![
        ("l.webp", image(vec![[0, 0, 0, 255], [255, 255, 255, 255], [0, 255, 0, 255]])),
        ("u.webp", image(vec![[0, 0, 0, 255], [255, 255, 255, 255], [0, 255, 0, 255]])),
        ("s.webp", image(vec![[0, 128, 255, 255]; 3])),
        ("q.webp", image(vec![[128, 128, 128, 252], [128, 128, 128, 253], [128, 128, 128, 255]])),
        ("c.webp", image(vec![[128, 144, 0, 255], [0, 0, 0, 0], [0, 0, 0, 128]])),
        ("p.webp", image::write(palette, (3 * 64, 1)).expect("an image")),
        ("n.webp", image(vec![[1, 0, 0, 255], [0, 0, 0, 255], [0, 0, 0, 255]])),
        ("meta.json", serde_json::to_vec(&meta).expect("JSON")),
    ]
}

fn zipped(files: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).expect("a file");
        zip.write_all(content).expect("written");
    }
    zip.finish().expect("written").into_inner()
}

fn with_meta(change: impl Fn(&mut Value)) -> Result<Splats> {
    let mut files = files();
    let (_, meta) = files.last_mut().expect("files");
    let mut value = serde_json::from_slice(meta).expect("JSON");
    change(&mut value);
    *meta = serde_json::to_vec(&value).expect("JSON");
    read(&zipped(&files, CompressionMethod::Stored), Path::new("a.sog"))
}

fn with_file(name: &str, content: Option<Vec<u8>>) -> Result<Splats> {
    let mut files = files();
    let at = files.iter().position(|(file, _)| *file == name).expect("a file");
    match content {
        Some(content) => files[at].1 = content,
        None => drop(files.remove(at)),
    }
    read(&zipped(&files, CompressionMethod::Stored), Path::new("a.sog"))
}

#[test]
fn stored_and_deflated_archives_are_read() {
    let stored = read(&zipped(&files(), CompressionMethod::Stored), Path::new("a.sog")).expect("stored");
    let deflated =
        read(&zipped(&files(), CompressionMethod::Deflated), Path::new("a.sog")).expect("deflated");
    assert_eq!(stored, deflated, "the same splats");
    let e = std::f32::consts::E;
    assert!(stored.positions[0].iter().zip([0.0, e - 1.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6), "x");
    assert!((stored.positions[1][2] - (e - 1.0)).abs() < 1e-6, "y");
    assert_eq!(
        [stored.scales[0][0], stored.scales[1][0], stored.scales[2][0]],
        [-8.0, 0.0, 7.9375],
        "scales"
    );
    assert!(
        stored.rotations[0][0] > 0.99 && stored.rotations[1][1] > 0.99 && stored.rotations[3][2] > 0.99,
        "turns"
    );
    assert_eq!((stored.dc[0][0], stored.dc[1][0]), (0.0, 1.0), "colours");
    assert!(stored.opacities[0] > 13.0 && stored.opacities[1] < -13.0, "alphas 1 and 0");
    // Entry 1 begins behind the three pixels of entry 0.
    assert_eq!(
        [stored.rest[0][0], stored.rest[3][0], stored.rest[6][0]],
        [-7.0, -6.0, -5.0],
        "red, green, blue"
    );
    assert_eq!(stored.rest[0][1], -8.0, "entry 0");
}

#[test]
fn what_does_not_fit_is_refused() {
    assert_refused(with_meta(|m| m["version"] = json!(1)), "`version`: expected 2, found 1");
    assert_refused(
        with_meta(|m| drop(m.as_object_mut().expect("an object").remove("version"))),
        "found none, as in version 1",
    );
    assert_refused(
        with_meta(|m| m["model"] = json!("2dgs")),
        "`model`: expected `default` or `antialiased`, found `2dgs`",
    );
    assert_refused(with_meta(|m| m["count"] = json!(u64::MAX)), "`count`: expected at most");
    assert_refused(with_meta(|m| m["count"] = json!(0)), "`count`: expected at least one");
    assert_refused(with_meta(|m| m["count"] = json!(17)), "`l.webp`: expected 17 to");
    assert_refused(with_meta(|m| m["count"] = json!(-1)), "`meta.json`: expected the description of a .sog");
    assert_refused(
        with_meta(|m| m["means"]["files"][1] = json!("v.webp")),
        "`v.webp`: expected a file in the zip",
    );
    assert_refused(
        with_meta(|m| m["scales"]["codebook"] = json!([1.0, 2.0])),
        "`scales.codebook`: expected indices below the 2 codes, found 255",
    );
    assert_refused(
        with_meta(|m| m["scales"]["codebook"][3] = Value::Null),
        "`meta.json`: expected the description",
    );
    assert_refused(with_meta(|m| m["shN"]["bands"] = json!(4)), "`shN.bands`: expected 1 to 3, found 4");
    assert_refused(with_meta(|m| m["shN"]["bands"] = json!(2)), "`p.webp`");
    assert_refused(
        with_meta(|m| m["shN"]["count"] = json!(1)),
        "`n.webp, row 0`: expected labels below the 1 entries of the palette, found 1",
    );
    assert_refused(with_meta(|m| m["shN"]["count"] = json!(1 << 17)), "`shN.count`: expected 1 to 65536");
    assert_refused(with_file("q.webp", None), "`q.webp`: expected a file in the zip");
    assert_refused(with_file("q.webp", Some(b"RIFF".to_vec())), "`q.webp`: expected a WebP image");
    let turned = image::write(vec![[0, 0, 0, 252], [0, 0, 0, 251], [0, 0, 0, 252]], SIDES).expect("an image");
    assert_refused(
        with_file("q.webp", Some(turned)),
        "`quats, row 1`: expected alpha from 252 to 255, found 251",
    );
    let marked = with_meta(|m| m["model"] = json!("antialiased")).expect("read");
    assert_eq!(marked.antialiased, Some(true), "the mark");
}

#[test]
fn entries_are_unpacked_to_a_bound() {
    let mut files = files();
    files[0].1 = vec![0; 64 << 20];
    let bytes = zipped(&files, CompressionMethod::Deflated);
    assert!(bytes.len() < 1 << 20, "a bomb");
    assert_refused(read(&bytes, Path::new("a.sog")), "`l.webp`: expected at most");
    let mut files = self::files();
    files[7].1 = vec![b' '; 2 << 20];
    assert_refused(
        read(&zipped(&files, CompressionMethod::Deflated), Path::new("a.sog")),
        "`meta.json`: expected at most 1048576 bytes",
    );
    // An image of sixteen million pixels in some bytes.
    let huge = image::write(vec![[0; 4]], (4096, 4096)).expect("an image");
    assert_refused(
        with_file("l.webp", Some(huge)),
        "`l.webp`: expected 3 to 65548 pixels, found 4096 × 4096",
    );
}
