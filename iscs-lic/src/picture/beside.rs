//! What files say beside their pixels and the decoder does not pass on: whether they are animated, and a PNG file's colours by code points.
//!
//! Chunks of PNG: Portable Network Graphics (Third Edition), W3C 2025; `VP8X` of WebP: RFC 9649.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Colours by code points of ITU-T H.273 (cICP).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CodePoints {
    pub(super) primaries: u8,
    pub(super) transfer: u8,
    matrix: u8,
    is_full_range: bool,
}

impl CodePoints {
    /// Whether they are what a file without them means.
    pub(super) fn is_srgb(self) -> bool {
        self == Self { primaries: 1, transfer: 13, matrix: 0, is_full_range: true }
    }
}

/// What a file says beside its pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) is_animated: bool,
    pub(super) code_points: Option<CodePoints>,
}

/// Of a file that was decoded; of what cannot be read, nothing.
pub(super) fn beside(path: &Path) -> Beside {
    File::open(path).map(|file| of(BufReader::new(file))).unwrap_or_default()
}

fn of(mut file: impl Read) -> Beside {
    let mut start = [0; 8];
    if file.read_exact(&mut start).is_err() {
        return Beside::default();
    }
    match &start {
        b"\x89PNG\r\n\x1a\n" => png(file),
        [b'R', b'I', b'F', b'F', ..] => Beside { is_animated: is_animated_webp(file), code_points: None },
        _ => Beside::default(),
    }
}

/// Chunks up to the pixels.
fn png(mut file: impl Read) -> Beside {
    let mut found = Beside::default();
    let mut header = [0; 8];
    while file.read_exact(&mut header).is_ok() {
        let [length, kind] = [&header[..4], &header[4..]];
        let length = u64::from(u32::from_be_bytes([length[0], length[1], length[2], length[3]]));
        let mut read = 0;
        match kind {
            b"IDAT" | b"IEND" => break,
            b"acTL" => found.is_animated = true,
            b"cICP" if length >= 4 => {
                let mut points = [0; 4];
                if file.read_exact(&mut points).is_err() {
                    break;
                }
                let [primaries, transfer, matrix, range] = points;
                found.code_points =
                    Some(CodePoints { primaries, transfer, matrix, is_full_range: range == 1 });
                read = 4;
            }
            _ => {}
        }
        // What is left of the chunk, and its checksum.
        let rest = length - read + 4;
        let skipped = std::io::copy(&mut (&mut file).take(rest), &mut std::io::sink());
        if skipped.is_ok_and(|n| n < rest) {
            break;
        }
    }
    found
}

/// The rest of the file after its first 8 bytes: `WEBP`, `VP8X`, a length, flags.
fn is_animated_webp(mut file: impl Read) -> bool {
    let mut start = [0; 13];
    file.read_exact(&mut start).is_ok() && start.starts_with(b"WEBPVP8X") && start[12] & 2 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: &[u8], bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u32).to_be_bytes()[..], kind, bytes, &[0; 4]].concat()
    }

    #[test]
    fn chunks_before_the_pixels_are_read() {
        let png = |chunks: &[Vec<u8>]| of(&[&b"\x89PNG\r\n\x1a\n"[..], &chunks.concat()].concat()[..]);
        let (header, pixels) = (chunk(b"IHDR", &[0; 13]), chunk(b"IDAT", &[1, 2]));
        assert_eq!(png(&[header.clone(), pixels.clone()]), Beside::default(), "nothing beside the pixels");
        let pq = chunk(b"cICP", &[9, 16, 0, 1]);
        let found = png(&[header.clone(), pq.clone(), chunk(b"acTL", &[0; 8]), pixels.clone()]);
        assert!(found.is_animated, "an animation: {found:?}");
        let points = found.code_points.expect("code points");
        assert_eq!((points.primaries, points.transfer, points.is_srgb()), (9, 16, false), "of BT.2100 PQ");
        let srgb = png(&[header.clone(), chunk(b"cICP", &[1, 13, 0, 1]), pixels.clone()]).code_points;
        assert!(srgb.expect("code points").is_srgb(), "those of sRGB");
        assert_eq!(png(&[header.clone(), pixels, pq]), Beside::default(), "what stands behind the pixels");
        for cut in 0..60 {
            let whole = [&b"\x89PNG\r\n\x1a\n"[..], &header, &chunk(b"cICP", &[9, 16, 0, 1])].concat();
            let found = of(&whole[..cut.min(whole.len())]);
            assert!(!found.is_animated, "{cut} bytes: {found:?}");
        }
    }

    #[test]
    fn animated_webp_says_so_in_its_flags() {
        let webp = |flags: u8| of(&[&b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0"[..], &[flags, 0, 0, 0]].concat()[..]);
        assert!(webp(0x12).is_animated && !webp(0x10).is_animated, "by the second bit");
        assert_eq!(of(&b"RIFF\0\0\0\0WEBPVP8 "[..]), Beside::default(), "a simple file");
    }
}
