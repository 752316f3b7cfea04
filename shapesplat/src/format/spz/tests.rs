//! Settings, counts, streams and extensions of a `.spz`.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use grouping_core::testing::assert_refused;

use super::super::WriteOptions;
use super::super::scenes::{read_spz, scene, spz_bytes, spz_options};
use super::write;
use crate::Splats;

#[test]
fn positions_beyond_24_bits_take_fewer_fractional_bits_and_never_wrap() {
    for (furthest, bits) in [(2047.9, 12), (2048.5, 11), (-2048.0, 12), (-2049.0, 11), (3000.0, 11), (8e6, 0)]
    {
        let mut splats = scene(5, 0, 6);
        splats.positions[1][3] = furthest;
        let mut bytes = Vec::new();
        let told = write(&splats, &spz_options(3), &mut bytes).expect("written");
        let read = read_spz(&bytes, Path::new("a.spz")).expect("read").positions[1][3];
        let step = (-f64::from(bits)).exp2() as f32;
        assert!((read - furthest).abs() <= step / 2.0, "{furthest} with {bits} bits comes back as {read}");
        let expected = if bits == 12 {
            vec![]
        } else {
            vec![format!("{} of 12 fractional bits of positions, since one is {furthest}", 12 - bits)]
        };
        assert_eq!(told.dropped, expected, "{furthest}");
        let fixed = WriteOptions { spz_fractional_bits: Some(12), ..WriteOptions::default() };
        let written = write(&splats, &fixed, &mut Vec::new());
        if bits == 12 {
            written.expect("12 bits do");
        } else {
            assert_refused(
                written,
                &format!("spz_fractional_bits: expected at most {bits}, since a position is {furthest}"),
            );
        }
    }
    let mut splats = scene(5, 0, 6);
    splats.positions[2][4] = 9e6;
    assert_refused(write(&splats, &spz_options(4), &mut Vec::new()), "row 4, `z`: expected at most 2^23");
    splats.positions[2][4] = f32::NAN;
    assert_refused(write(&splats, &spz_options(4), &mut Vec::new()), "row 4, `z`: expected a finite number");
    let fine = WriteOptions { spz_fractional_bits: Some(19), ..WriteOptions::default() };
    let splats = scene(5, 0, 6);
    let told = write(&splats, &fine, &mut Vec::new()).expect("positions up to 9 leave 19 bits");
    assert!(told.errors[0].greatest <= 2f64.powi(-20), "half a step of 19 bits: {:?}", told.errors[0]);
}

#[test]
fn settings_beyond_the_format_are_refused() {
    let splats = scene(2, 1, 7);
    let set = |options: &WriteOptions| write(&splats, options, &mut Vec::new());
    assert_refused(set(&spz_options(1)), "spz_version: expected 2, 3 or 4, found 1");
    assert_refused(set(&spz_options(5)), "spz_version: expected 2, 3 or 4, found 5");
    let bits = |sh_bits| WriteOptions { spz_sh_bits: sh_bits, ..WriteOptions::default() };
    assert_refused(set(&bits([9, 4])), "spz_sh_bits: expected 1 to 8 bits of a coefficient, found 9");
    assert_refused(set(&bits([5, 0])), "spz_sh_bits: expected 1 to 8");
    let told = set(&bits([8, 8])).expect("8 bits");
    let sh = told.errors.iter().find(|e| e.property == "sh").expect("an error");
    assert!(sh.greatest <= 1.0 / 256.0, "half a step of 8 bits: {sh:?}");
    let fixed = WriteOptions { spz_fractional_bits: Some(24), ..WriteOptions::default() };
    assert_refused(set(&fixed), "spz_fractional_bits: expected at most 23, found 24");
}

#[test]
fn counts_beyond_the_file_are_refused_before_memory_is_taken() {
    let mut bytes = spz_bytes(&scene(3, 0, 8), 4);
    bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_refused(read_spz(&bytes, Path::new("a.spz")), "`count`: expected at most");
    bytes[8..12].copy_from_slice(&4u32.to_le_bytes());
    assert_refused(
        read_spz(&bytes, Path::new("a.spz")),
        "`positions`: expected 36 bytes for 4 Gaussians, found 27",
    );
    bytes[8..12].copy_from_slice(&0u32.to_le_bytes());
    assert_refused(read_spz(&bytes, Path::new("a.spz")), "`count`: expected at least one Gaussian");

    let gzip = |content: &[u8]| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(content).expect("written");
        gzip.finish().expect("written")
    };
    let mut header = b"NGSP\x03\0\0\0\xff\xff\xff\xff\0\x0c\0\0".to_vec();
    assert_refused(read_spz(&gzip(&header), Path::new("a.spz")), "`count`: expected at most");
    header[8..12].copy_from_slice(&200_000u32.to_le_bytes());
    assert_refused(
        read_spz(&gzip(&header), Path::new("a.spz")),
        "`positions`: expected 1800000 bytes, found 0 before the end",
    );
    // A bomb: a scene of one Gaussian, and behind it 64 MiB of zeros in 64 KiB.
    let mut bomb = b"NGSP\x03\0\0\0\x01\0\0\0\0\x0c\0\0".to_vec();
    bomb.resize(bomb.len() + 20 + (64 << 20), 0);
    assert_refused(read_spz(&gzip(&bomb), Path::new("a.spz")), "a mebibyte and more after them");
}

#[test]
fn zstd_streams_are_unpacked_to_their_length_and_no_further() {
    let mut bytes = spz_bytes(&scene(3, 0, 9), 4);
    // Another stream of positions, of 64 MiB: its entry in the table and the stream itself.
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).expect("compressed");
    let old = u64::from_le_bytes(bytes[32..40].try_into().expect("8 bytes")) as usize;
    bytes[32..40].copy_from_slice(&(bomb.len() as u64).to_le_bytes());
    let streams = 32 + 5 * 16;
    bytes.splice(streams..streams + old, bomb);
    assert_refused(read_spz(&bytes, Path::new("a.spz")), "`positions`: expected a whole compressed stream");
    let mut bytes = spz_bytes(&scene(3, 0, 9), 4);
    bytes[16..20].copy_from_slice(&8u32.to_le_bytes());
    assert_refused(read_spz(&bytes, Path::new("a.spz")), "offset of the table of contents");
    bytes[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_refused(read_spz(&bytes, Path::new("a.spz")), "offset of the table of contents");
    bytes[16..20].copy_from_slice(&32u32.to_le_bytes());
    bytes[15] = 6;
    assert_refused(read_spz(&bytes, Path::new("a.spz")), "`number of streams`: expected 5, as of degree 0");
}

/// A version 4 file with records of extensions.
fn extended(splats: &Splats, records: &[(u32, &[u8])]) -> Vec<u8> {
    let mut bytes = spz_bytes(splats, 4);
    let zone: Vec<u8> = records
        .iter()
        .flat_map(|(kind, content)| {
            [&kind.to_le_bytes()[..], &(content.len() as u32).to_le_bytes(), content].concat()
        })
        .collect();
    bytes[14] |= 2;
    bytes[16..20].copy_from_slice(&(32 + zone.len() as u32).to_le_bytes());
    bytes.splice(32..32, zone);
    bytes
}

#[test]
fn a_frame_that_a_spz_names_is_left_and_other_extensions_are_skipped() {
    let splats = scene(6, 3, 10);
    let read = |records: &[(u32, &[u8])]| read_spz(&extended(&splats, records), Path::new("a.spz"));
    let plain = read_spz(&spz_bytes(&splats, 4), Path::new("a.spz")).expect("read");
    let camera: (u32, &[u8]) = (0xADBE_0002, &[0; 12]);
    assert_eq!(read(&[camera]).expect("read"), plain, "a camera is skipped");
    assert_eq!(read(&[camera, (0xADBE_0003, &[6, 0, 0, 0])]).expect("read"), plain, "RDF is PLY's frame");
    assert_eq!(read(&[(0xADBE_0003, &[0; 4])]).expect("read"), plain, "no frame is named");
    let turned = read(&[(0xADBE_0003, &[4, 0, 0, 0]), camera]).expect("read");
    let negated = |column: &[f32]| column.iter().map(|v| -v).collect::<Vec<f32>>();
    assert_eq!(turned.positions[0], plain.positions[0], "RUB: x stays");
    assert_eq!(
        turned.positions[1..],
        plain.positions[1..].iter().map(|c| negated(c)).collect::<Vec<_>>(),
        "y and z"
    );
    // y and z of degree 1 change their signs, x does not.
    assert_eq!(turned.rest[0], negated(&plain.rest[0]), "y");
    assert_eq!(turned.rest[2], plain.rest[2], "x");
    assert_refused(read(&[(0xADBE_0003, &[8, 0, 0, 0])]), "SPZ_ADOBE_coordinate_system RUF is not supported");
    assert_refused(read(&[(0xADBE_0003, &[99, 0, 0, 0])]), "expected a frame from 1 to 16, found 99");
    assert_refused(read(&[(0xADBE_0001, &[5, 4])]), "SPZ_ADOBE_sh_quantization is not supported");
    let mut cut = extended(&splats, &[camera]);
    cut[36] = 13;
    assert_refused(read_spz(&cut, Path::new("a.spz")), "`extensions`: expected whole records");
}
