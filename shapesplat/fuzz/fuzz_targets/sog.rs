//! `.sog` files: a description and images that the input draws, in a zip that is whole: `cargo fuzz run sog`.
#![no_main]

use std::io::{Cursor, Write};
use std::path::Path;

use shapesplat::format::load_bytes;
use shapesplat::splats::Bad;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const NAMES: [&str; 7] = [
    "means_l.webp", "means_u.webp", "scales.webp", "quats.webp", "sh0.webp", "shN_centroids.webp", "shN_labels.webp",
];

fn image(pixels: &[u8], width: u32, height: u32) -> Vec<u8> {
    let mut content = Vec::new();
    let encoder = image_webp::WebPEncoder::new(&mut content);
    encoder.encode(pixels, width, height, image_webp::ColorType::Rgba8).expect("an image");
    content
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = load_bytes(bytes, Path::new("in.sog"), Bad::Keep);
    let Some((&[count, bands, labels, raw], rest)) = bytes.split_first_chunk() else { return };
    let codebook = vec!["0.25"; 256].join(",");
    let mut files = vec![("meta.json", format!(
        "{{\"version\":2,\"count\":{count},\"means\":{{\"mins\":[-1,-1,-1],\"maxs\":[1,2,3],\"files\":[\"{}\",\"{}\"]}},\
         \"scales\":{{\"codebook\":[{codebook}],\"files\":[\"{}\"]}},\"quats\":{{\"files\":[\"{}\"]}},\
         \"sh0\":{{\"codebook\":[{codebook}],\"files\":[\"{}\"]}},\
         \"shN\":{{\"count\":{labels},\"bands\":{bands},\"codebook\":[{codebook}],\"files\":[\"{}\",\"{}\"]}}}}",
        NAMES[0], NAMES[1], NAMES[2], NAMES[3], NAMES[4], NAMES[5], NAMES[6],
    ).into_bytes())];
    for (i, name) in NAMES.iter().enumerate() {
        let part = rest.get(i * rest.len() / 7..(i + 1) * rest.len() / 7).unwrap_or_default();
        let content = if usize::from(raw) == i {
            part.to_vec()
        } else {
            let (width, height) = if i == 5 { (64 * [3, 3, 8, 15][usize::from(bands % 4)], 1) } else { (8, 4) };
            let pixels: Vec<u8> = part.iter().copied().chain(std::iter::repeat(253)).take(4 * (width * height) as usize).collect();
            image(&pixels, width, height)
        };
        files.push((name, content));
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(name, SimpleFileOptions::default()).expect("a file");
        zip.write_all(&content).expect("written");
    }
    let file = zip.finish().expect("a zip").into_inner();
    if let Ok(loaded) = load_bytes(&file, Path::new("in.sog"), Bad::Keep) {
        assert_eq!(loaded.splats.len(), usize::from(count), "as many as the description says");
    }
});
