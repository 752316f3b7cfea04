//! Picture files: what is converted, what is refused, what is noted.

use std::path::Path;

use grouping_core::files::output::Existing;
use grouping_core::testing::assert_refused;
use image::{ImageBuffer, Luma, LumaA, Rgb, Rgba};
use iscs_lic::picture::{Note, Picture, ReadOptions, Transparency};
use proptest::prelude::*;

#[test]
fn samples_of_16_bits_and_greys_become_rgb_of_8() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep.png");
    let deep: ImageBuffer<Rgb<u16>, Vec<u16>> = ImageBuffer::from_pixel(1, 1, Rgb([0x00ff, 0x80ff, 0xffff]));
    deep.save(&path).expect("a file");
    let (picture, notes) = Picture::read(&path, &ReadOptions::default()).expect("a picture");
    assert_eq!(
        (picture.rgb(), &notes[..]),
        (&[1, 128, 255][..], &[Note::Bits][..]),
        "by 257, rounded, and noted"
    );
    let path = folder.path().join("grey.pgm");
    ImageBuffer::from_pixel(2, 1, Luma([7_u8])).save(&path).expect("a file");
    let (picture, notes) = Picture::read(&path, &ReadOptions::default()).expect("a picture");
    assert_eq!((picture.rgb(), notes.len()), (&[7; 6][..], 0), "grey in three channels");
}

#[test]
fn pixels_that_are_not_opaque_are_refused_or_laid_over_a_colour() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("through.png");
    let mut image = ImageBuffer::from_pixel(3, 2, Rgba([200_u8, 100, 0, 255]));
    image.save(&path).expect("a file");
    let (picture, _) = Picture::read(&path, &ReadOptions::default()).expect("opaque pixels");
    assert_eq!(picture.rgb()[..3], [200, 100, 0], "an alpha channel that says nothing is dropped");
    image.put_pixel(1, 1, Rgba([200, 100, 0, 51]));
    image.save(&path).expect("a file");
    assert_refused(Picture::read(&path, &ReadOptions::default()), "alpha 51 of 255 at column 1, row 1");
    let over = ReadOptions { transparency: Transparency::Over([0, 0, 255]), ..ReadOptions::default() };
    let (picture, _) = Picture::read(&path, &over).expect("laid over blue");
    assert_eq!(picture.rgb()[12..15], [40, 20, 204], "a fifth of the colour, the rest blue");
    let path = folder.path().join("grey.png");
    ImageBuffer::from_pixel(1, 1, LumaA([100_u8, 0])).save(&path).expect("a file");
    let (picture, _) = Picture::read(&path, &over).expect("laid over blue");
    assert_eq!(picture.rgb(), [0, 0, 255], "grey and alpha, too");
}

#[test]
fn the_least_transparency_of_16_bits_is_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep.png");
    let mut image: ImageBuffer<Rgba<u16>, Vec<u16>> =
        ImageBuffer::from_pixel(3, 2, Rgba([0x8080, 0x00ff, 0xffff, 0xffff]));
    image.save(&path).expect("a file");
    let (picture, notes) = Picture::read(&path, &ReadOptions::default()).expect("opaque pixels");
    assert_eq!(
        (&picture.rgb()[..3], &notes[..]),
        (&[128, 1, 255][..], &[Note::Bits][..]),
        "rounded to 8 bits"
    );
    image.put_pixel(2, 0, Rgba([0x8080, 0x00ff, 0xffff, 0xfffe]));
    image.save(&path).expect("a file");
    let refused = Picture::read(&path, &ReadOptions::default());
    assert_refused(refused, "found alpha 65534 of 65535 at column 2, row 0");
    let over = ReadOptions { transparency: Transparency::Over([0, 255, 0]), ..ReadOptions::default() };
    let (picture, _) = Picture::read(&path, &over).expect("laid over green");
    assert_eq!(picture.rgb()[6..9], [128, 1, 255], "a 65,535th of green changes nothing of 8 bits");
    image.put_pixel(2, 0, Rgba([0xffff, 0, 0xffff, 0x4000]));
    image.save(&path).expect("a file");
    let (picture, _) = Picture::read(&path, &over).expect("laid over green");
    assert_eq!(picture.rgb()[6..9], [64, 191, 64], "a quarter of the colour, the rest green");
}

/// A chunk of a PNG file, with its checksum.
fn chunk(kind: &[u8; 4], bytes: &[u8]) -> Vec<u8> {
    let body = [&kind[..], bytes].concat();
    let crc = body.iter().fold(u32::MAX, |crc, &byte| {
        let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        (0..8).fold(crc ^ u32::from(byte), step)
    });
    [&(bytes.len() as u32).to_be_bytes()[..], &body, &(!crc).to_be_bytes()].concat()
}

#[test]
fn animations_and_code_points_are_noted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.png");
    ImageBuffer::from_pixel(2, 1, Rgb([7_u8, 8, 9])).save(&path).expect("a file");
    let plain = std::fs::read(&path).expect("a file");
    // Behind the signature and the header.
    let (start, rest) = plain.split_at(8 + 25);
    let notes = |chunks: &[Vec<u8>]| {
        std::fs::write(&path, [start, &chunks.concat(), rest].concat()).expect("a file");
        let (picture, notes) = Picture::read(&path, &ReadOptions::default()).expect("a picture");
        assert_eq!(picture.rgb(), [7, 8, 9, 7, 8, 9], "the picture itself");
        notes
    };
    assert_eq!(notes(&[chunk(b"cICP", &[1, 13, 0, 1])]), [], "sRGB in other words");
    let pq = chunk(b"cICP", &[9, 16, 0, 1]);
    assert_eq!(notes(&[pq]), [Note::CodePoints { primaries: 9, transfer: 16 }], "BT.2100 PQ");
    // One picture that is the first of the animation.
    let frame = [&[0; 4][..], &[0, 0, 0, 2, 0, 0, 0, 1], &[0; 8], &[0, 1, 0, 10, 0, 0]].concat();
    let animated = [chunk(b"acTL", &[0, 0, 0, 1, 0, 0, 0, 0]), chunk(b"fcTL", &frame)];
    assert_eq!(notes(&animated), [Note::Animation], "an animation");
    let words =
        [Note::Animation, Note::CodePoints { primaries: 9, transfer: 16 }].map(|note| note.to_string());
    assert!(words[0].contains("animation") && words[1].contains("cICP, primaries 9"), "{words:?}");
}

#[test]
fn files_that_are_no_pictures_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let read = |name: &str| Picture::read(&folder.path().join(name), &ReadOptions::default());
    assert_refused(read("absent.png"), "absent.png");
    for (name, bytes) in
        [("text.png", &b"no picture"[..]), ("cut.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), ("none.jpg", b"")]
    {
        std::fs::write(folder.path().join(name), bytes).expect("a file");
        assert_refused(read(name), name);
    }
    assert_refused(Picture::new(2, 2, vec![0; 11]), "3 · 2 · 2 samples");
    assert_refused(Picture::new(0, 2, vec![]), "at least a pixel");
    assert_refused(Picture::from_planes(1, 1, &[0.0, f32::NAN, 0.0]), "not finite");
}

#[test]
fn a_turned_photograph_stands_upright_unless_asked() {
    let (upright, _) = Picture::read(&data("turned.jpg"), &ReadOptions::default()).expect("a picture");
    assert_eq!((upright.width(), upright.height()), (8, 16), "turned as its file says");
    let stored = ReadOptions { as_stored: true, ..ReadOptions::default() };
    let (stored, _) = Picture::read(&data("turned.jpg"), &stored).expect("a picture");
    assert_eq!((stored.width(), stored.height()), (16, 8), "as it is stored");
}

#[test]
fn profiles_and_gammas_are_noted_and_inks_converted() {
    let (_, notes) = Picture::read(&data("profile.png"), &ReadOptions::default()).expect("a picture");
    assert_eq!(notes, [Note::ColorProfile, Note::Gamma { gamma: 1.0 }], "what is left out of account");
    let (picture, _) = Picture::read(&data("inks.jpg"), &ReadOptions::default()).expect("four inks");
    let pixel = &picture.rgb()[..3];
    assert!(pixel[0] < 60 && pixel[1] > 150 && pixel[2] > 150, "cyan ink: {pixel:?}");
}

fn data(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pictures").join(name)
}

proptest! {
    #[test]
    fn planes_and_files_give_back_the_picture(width in 1_usize..20, height in 1_usize..20, seed in any::<u64>()) {
        let rgb = (0..width * height * 3).map(|i| (seed.rotate_left(i as u32 % 64) >> (i % 7)) as u8).collect();
        let picture = Picture::new(width, height, rgb).expect("a picture");
        let back = Picture::from_planes(width, height, &picture.planes()).expect("planes");
        prop_assert_eq!(&back, &picture, "planes");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.png");
        picture.write_png(&path, Existing::Refuse).expect("it is written");
        let (read, notes) = Picture::read(&path, &ReadOptions::default()).expect("it is read");
        prop_assert_eq!((&read, notes.len()), (&picture, 0), "a file");
    }
}
