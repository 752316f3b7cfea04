#!/usr/bin/env bash
# `PngDecoder::gamma_value` of the crate image 0.25.10 answers None for every PNG file, also for one with a gAMA chunk.
#
# Its documents say that it returns the gamma value that the image indicates, and that an sRGB chunk stands for 1/2.2. It reads the field
# `source_gamma` of png 0.18.1, "set by both gAMA as well as to a replacement by sRGB chunk"; png's decoder has filled `gama_chunk`
# alone since 0.18, and offers the replacement as the method `gamma()`. Pictures that need a conversion of their gamma are
# so taken for pictures that need none. Our `grouping_core::image` asks png itself.
#
# Shown: two PNG files that png's own encoder writes, one with gAMA 1.0 and one with an sRGB chunk, read by both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "shown"
version = "0.0.0"
edition = "2024"
[dependencies]
image = { version = "=0.25.10", default-features = false, features = ["png"] }
png = "=0.18.1"
[workspace]
TOML
cat >src/main.rs <<'RUST'
use std::io::Cursor;

fn file(describe: impl Fn(&mut png::Encoder<'_, &mut Vec<u8>>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 1, 1);
    encoder.set_color(png::ColorType::Rgb);
    describe(&mut encoder);
    encoder.write_header().unwrap().write_image_data(&[1, 2, 3]).unwrap();
    bytes
}

fn main() {
    let with_gamma = file(|encoder| encoder.set_source_gamma(png::ScaledFloat::new(1.0)));
    let with_srgb = file(|encoder| encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual));
    for (name, bytes) in [("gAMA", with_gamma), ("sRGB", with_srgb)] {
        let by_png = png::Decoder::new(Cursor::new(&bytes)).read_info().unwrap().info().gamma().map(|gamma| gamma.into_value());
        let by_image = image::codecs::png::PngDecoder::new(Cursor::new(&bytes)).unwrap().gamma_value().unwrap();
        println!("{name}: png {by_png:?}, image {by_image:?}");
    }
}
RUST
cargo run -q >found 2>log || { cat log; exit 1; }
echo "image 0.25.10, png 0.18.1"
cat found
cat >expected <<'TEXT'
gAMA: png Some(1.0), image None
sRGB: png Some(0.45455), image None
TEXT
diff expected found || { echo "changed"; exit 1; }
