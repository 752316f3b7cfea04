//! Classic codecs: what they write shows the picture, better with more bytes, at every size.

use iscs_lic::measure::classic::Classic;
use iscs_lic::measure::evaluate::{Coding, PictureCodec};
use iscs_lic::measure::psnr;
use iscs_lic::picture::Picture;

/// A picture of gradients, edges and grain.
pub(crate) fn picture(width: usize, height: usize) -> Picture {
    let sample = |x: usize, y: usize, c: usize| {
        let edge = if (x + 2 * y) % 61 > 30 { 90 } else { 0 };
        (40 + edge + (x * (c + 2) + 3 * y) % 90 + (37 * x + 59 * y + x * y) % 13) as u8
    };
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let rgb = pixels.flat_map(|(x, y)| (0..3).map(move |c| sample(x, y, c))).collect();
    Picture::new(width, height, rgb).expect("a picture")
}

/// Codes at rising qualities: rate and PSNR rise, and what little is lost at the last is less than `step` dB short of `best`.
fn assert_better_with_more_bytes(at: impl Fn(u8) -> Classic, qualities: &[u8], best: f64) {
    let picture = picture(96, 64);
    let mut last = (0, 0.0);
    for &quality in qualities {
        let codec = at(quality);
        let Coding { n_file_bytes, picture: shown, .. } = codec.code(&picture).expect("codes");
        assert_eq!(
            n_file_bytes,
            codec.encode(&picture).expect("codes").len(),
            "{}: its own bytes",
            codec.name()
        );
        let found = (n_file_bytes, psnr(&picture, &shown).expect("something is lost"));
        let is_better = found.0 > last.0 && found.1 > last.1;
        assert!(is_better, "{}, quality {quality}: {found:?} after {last:?}", codec.name());
        last = found;
    }
    let (name, (_, found)) = (at(50).name(), last);
    assert!(found > best, "{name}: {found} dB at the greatest quality, expected more than {best}");
}

fn assert_every_size(codec: Classic) {
    for (width, height) in [(1, 1), (1, 17), (16, 2), (9, 33), (65, 40)] {
        let picture = picture(width, height);
        let shown = codec.code(&picture).expect("codes").picture;
        assert_eq!((shown.width(), shown.height()), (width, height), "{}", codec.name());
    }
}

#[test]
fn jpeg_and_webp_are_better_with_more_bytes() {
    assert_better_with_more_bytes(
        |quality| Classic::Jpeg { quality, halves_color: true },
        &[10, 50, 95],
        25.0,
    );
    assert_better_with_more_bytes(
        |quality| Classic::Jpeg { quality, halves_color: false },
        &[10, 50, 95],
        30.0,
    );
    assert_better_with_more_bytes(|quality| Classic::WebP { quality }, &[10, 50, 95], 22.0);
    assert_every_size(Classic::Jpeg { quality: 80, halves_color: true });
    assert_every_size(Classic::WebP { quality: 80 });
    let name = Classic::WebP { quality: 5 }.name();
    assert!(name.starts_with("WebP (libwebp 1."), "the library's version: {name}");
}

#[cfg(feature = "avif")]
#[test]
fn avif_is_better_with_more_bytes() {
    let at = |quality| Classic::Avif { quality, speed: 10 };
    assert_better_with_more_bytes(at, &[10, 50, 95], 36.0);
    assert_every_size(at(60));
    let coding = at(60).code(&picture(33, 20)).expect("codes");
    assert_eq!(coding.decoding_secs, None, "no decoder runs");
    let file = at(60).encode(&picture(33, 20)).expect("codes");
    assert_eq!(&file[4..12], b"ftypavif", "an AVIF file");
    grouping_core::testing::assert_refused(at(101).encode(&picture(2, 2)), "0 to 100");
    let slow = Classic::Avif { quality: 5, speed: 11 };
    grouping_core::testing::assert_refused(slow.encode(&picture(2, 2)), "0 to 10");
    let name = Classic::Avif { quality: 5, speed: 6 }.name();
    assert_eq!(name, "AVIF (rav1e 0.8.1, speed 6, tuned for PSNR, 4:4:4, 10 bits)", "the legend");
}

#[cfg(feature = "jpeg2000")]
#[test]
fn jpeg_2000_meets_the_psnr_that_it_aims_at() {
    let at = |quality| Classic::Jpeg2000 { quality };
    assert_better_with_more_bytes(at, &[22, 32, 45], 42.0);
    assert_every_size(at(35));
    let picture = picture(200, 130);
    for wanted in [26, 34, 42] {
        let shown = at(wanted).code(&picture).expect("codes").picture;
        let found = psnr(&picture, &shown).expect("something is lost");
        assert!((found - f64::from(wanted)).abs() < 1.0, "{found} dB instead of {wanted}");
    }
    let file = at(30).encode(&picture).expect("codes");
    assert_eq!(&file[4..8], b"jP  ", "a JP2 file");
    grouping_core::testing::assert_refused(at(0).encode(&picture), "1 to 100");
    let name = at(30).name();
    assert!(name.starts_with("JPEG 2000 (OpenJPEG 2.5.") && name.ends_with(", 4:4:4)"), "the legend: {name}");
}
