//! Many small images side by side in one.

use image::{Rgb, RgbImage};

use crate::{Error, Result};

/// Pixels between images and around them.
const GAP: u64 = 2;
/// No sheet has more pixels.
const MAX_PIXELS: u64 = 1 << 28;
const GROUND: Rgb<u8> = Rgb([255; 3]);
const INK: Rgb<u8> = Rgb([0; 3]);

/// Each digit in five rows of three pixels, the uppermost row in the highest bits.
const DIGITS: [u16; 10] = [
    0b111_101_101_101_111,
    0b010_110_010_010_111,
    0b111_001_111_100_111,
    0b111_001_111_001_111,
    0b101_101_111_001_001,
    0b111_100_111_001_111,
    0b111_100_111_101_111,
    0b111_001_001_001_001,
    0b111_101_111_101_111,
    0b111_101_111_001_111,
];
/// Rows of pixels of a line of digits, and columns of a digit; both with a pixel of space.
const LINE: u32 = 6;
const DIGIT: u32 = 4;

/// What stands below each image of a [`contact_sheet`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Captions {
    /// Nothing.
    #[default]
    None,
    /// Its index from 0, as far as it fits its width.
    Indices,
}

/// The images, all of one size, row by row with `n_columns` in a row, on white.
///
/// # Errors
/// [`Error::Setting`] where there is no image or column or the sheet had more than 2²⁸ pixels; [`Error::Shape`] where sizes differ.
///
/// ```
/// use grouping_core::image::{Captions, contact_sheet};
/// use image::{Rgb, RgbImage};
///
/// let red = RgbImage::from_pixel(8, 4, Rgb([255, 0, 0]));
/// let sheet = contact_sheet(&[red.clone(), red.clone(), red], 2, Captions::None)?;
/// assert_eq!(sheet.dimensions(), (2 + 8 + 2 + 8 + 2, 2 + 4 + 2 + 4 + 2));
/// assert_eq!(sheet.get_pixel(2, 2), &Rgb([255, 0, 0]));
/// # Ok::<(), grouping_core::Error>(())
/// ```
pub fn contact_sheet(images: &[RgbImage], n_columns: usize, captions: Captions) -> Result<RgbImage> {
    let (Some(first), true) = (images.first(), n_columns > 0) else {
        let found = format!("{} in {n_columns} columns", images.len());
        return Err(setting("at least one image in at least one column", found));
    };
    let (width, height) = first.dimensions();
    if let Some(other) = images.iter().find(|image| image.dimensions() != (width, height)) {
        let shape = |image: &RgbImage| vec![image.height() as usize, image.width() as usize];
        return Err(Error::Shape { what: "image".into(), expected: shape(first), found: shape(other) });
    }
    let caption = if captions == Captions::Indices { LINE } else { 0 };
    let (n_columns, n_rows) = (n_columns.min(images.len()), images.len().div_ceil(n_columns));
    let cell = [u64::from(width) + GAP, u64::from(height) + u64::from(caption) + GAP];
    let size = [cell[0] * n_columns as u64 + GAP, cell[1] * n_rows as u64 + GAP];
    let [sheet_width, sheet_height] = match size[0].checked_mul(size[1]) {
        Some(n_pixels) if n_pixels <= MAX_PIXELS => size.map(|side| side as u32),
        _ => return Err(setting("at most 2²⁸ pixels in all", format!("{} × {}", size[0], size[1]))),
    };
    let mut sheet = RgbImage::from_pixel(sheet_width, sheet_height, GROUND);
    for (i, image) in images.iter().enumerate() {
        let (column, row) = ((i % n_columns) as u64, (i / n_columns) as u64);
        let [x, y] = [column * cell[0], row * cell[1]].map(|start| (start + GAP) as u32);
        image::imageops::replace(&mut sheet, image, x.into(), y.into());
        if captions == Captions::Indices {
            write_number(&mut sheet, i, [x, y + height + 1], width);
        }
    }
    Ok(sheet)
}

/// Writes the digits of `number` that fit into `width` pixels.
fn write_number(sheet: &mut RgbImage, number: usize, [x, y]: [u32; 2], width: u32) {
    let text = number.to_string();
    for (place, digit) in (0..width / DIGIT).zip(text.bytes()) {
        let rows = DIGITS[usize::from(digit - b'0')];
        for bit in (0..15).filter(|bit| rows >> (14 - bit) & 1 == 1) {
            sheet.put_pixel(x + place * DIGIT + bit % 3, y + bit / 3, INK);
        }
    }
}

fn setting(expected: &str, found: String) -> Error {
    Error::Setting { name: "contact sheet".into(), expected: expected.into(), found }
}
