//! Lossless WebP images of a `.sog`: pixels of four bytes, a pixel a Gaussian, row by row.

use std::io::Cursor;
use std::path::Path;

use image_webp::{ColorType, EncoderParams, WebPDecoder, WebPEncoder};

use super::super::stream;
use crate::{Error, Result};

/// The longest side of a WebP image.
const LONGEST_SIDE: usize = 16_383;

/// Pixels and their width.
pub(super) struct Image {
    pub(super) width: usize,
    pub(super) pixels: Vec<[u8; 4]>,
}

/// Reads the image of a file that is to hold at least `n` pixels.
pub(super) fn read(name: &str, content: &[u8], n: usize, path: &Path) -> Result<Image> {
    let damaged = |error: image_webp::DecodingError| Error::format(path, name, "a WebP image", error);
    let mut decoder = WebPDecoder::new(Cursor::new(content)).map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let n_pixels = u64::from(width) * u64::from(height);
    let most = most_pixels(n);
    if n_pixels < n as u64 || n_pixels > most {
        let expected = format!("{n} to {most} pixels");
        return Err(Error::format(path, name, expected, format!("{width} × {height}")));
    }
    if decoder.is_animated() || decoder.is_lossy() {
        return Err(Error::format(path, name, "a lossless picture", "lossy or moving pictures"));
    }
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let mut bytes = vec![0; n_pixels as usize * channels];
    decoder.set_memory_limit(bytes.len() + (64 << 20));
    decoder.read_image(&mut bytes).map_err(damaged)?;
    let pixels = match channels {
        4 => bytes.chunks_exact(4).map(|p| [p[0], p[1], p[2], p[3]]).collect(),
        _ => bytes.chunks_exact(3).map(|p| [p[0], p[1], p[2], 255]).collect(),
    };
    Ok(Image { width: width as usize, pixels })
}

/// Pixels that an image of `n` values may have: writers fill up rows, and some take a power of two.
fn most_pixels(n: usize) -> u64 {
    4 * n as u64 + (1 << 16)
}

/// Bytes that the file of an image of `n` values may have.
pub(super) fn most_bytes(n: usize) -> u64 {
    5 * most_pixels(n) + (1 << 16)
}

/// The width and height for `n` pixels: as splat-transform's, multiples of four.
pub(super) fn sides(n: usize) -> Result<(usize, usize)> {
    let width = (n as f64).sqrt().ceil() as usize;
    let width = width.next_multiple_of(4);
    let height = n.div_ceil(width).next_multiple_of(4);
    if width > LONGEST_SIDE || height > LONGEST_SIDE {
        return Err(Error::setting("splats", "at most 268 million Gaussians in a .sog", n));
    }
    Ok((width, height))
}

/// Writes pixels; behind the last one it is repeated.
pub(super) fn write(mut pixels: Vec<[u8; 4]>, (width, height): (usize, usize)) -> Result<Vec<u8>> {
    let last = pixels.last().copied().unwrap_or_default();
    pixels.resize(width * height, last);
    let bytes = pixels.as_flattened();
    // Neighbours predict some images and not others; the shorter file is taken.
    let encode = |predicts: bool| {
        let mut file = Vec::new();
        let mut encoder = WebPEncoder::new(&mut file);
        let mut params = EncoderParams::default();
        params.use_predictor_transform = predicts;
        encoder.set_params(params);
        let done = encoder.encode(bytes, width as u32, height as u32, ColorType::Rgba8);
        done.map(|()| file).map_err(|error| stream(std::io::Error::other(error)))
    };
    let (plain, predicted) = (encode(false)?, encode(true)?);
    Ok(if predicted.len() < plain.len() { predicted } else { plain })
}
