//! The border that is added around a picture, so that every layer halves its sides evenly.
//!
//! CompressAI adds zeros, half on either side, to multiples of 64, whatever the model. Zeros blur what is beside them. Replicated edges take more bytes
//! for some pictures and fewer for others, and gain decibels, the more the smaller the picture: `iscs-lic eval` with and without
//! `--pad-as-compressai` shows both.

use std::ops::Range;

use crate::checkpoint::Design;
use crate::container::Pads;
use crate::model::Planes;
use crate::picture::Picture;
use crate::{Error, Result};

/// What is added around a picture before it is coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Padding {
    /// The nearest pixel, to the least multiple that the architecture takes: 16 for a factorised prior, 64 for the others.
    #[default]
    Edge,
    /// Zeros, to multiples of 64, as CompressAI's tools; a `.cai` file knows no other.
    Zeros,
}

/// Multiple to which CompressAI pads.
const COMPRESSAI: usize = 64;

impl Padding {
    /// The pads of a picture: half on either side, an odd row at the bottom and an odd column at the right.
    pub(super) fn pads(self, picture: &Picture, design: &Design) -> Pads {
        let unit = match self {
            Self::Edge => unit(design),
            Self::Zeros => COMPRESSAI,
        };
        let split = |side: usize| {
            let missing = side.next_multiple_of(unit) - side;
            // Below 64.
            ((missing / 2) as u8, (missing - missing / 2) as u8)
        };
        let ((left, right), (top, bottom)) = (split(picture.width()), split(picture.height()));
        Pads { left, right, top, bottom }
    }
}

/// What both sides must be a multiple of: strides of the transforms.
pub(super) fn unit(design: &Design) -> usize {
    Design::Y_STRIDE * design.z_stride()
}

/// Height and width with pads.
///
/// # Errors
/// [`Error::Container`] for sides that the architecture does not take.
pub(super) fn padded_sides(width: u32, height: u32, pads: Pads, design: &Design) -> Result<[usize; 2]> {
    let sides = [(height, pads.top, pads.bottom, "height"), (width, pads.left, pads.right, "width")];
    let unit = unit(design);
    let mut out = [0; 2];
    for (padded, (side, before, behind, name)) in out.iter_mut().zip(sides) {
        let sum = u64::from(side) + u64::from(before) + u64::from(behind);
        let whole = usize::try_from(sum).ok().filter(|s| side > 0 && s.is_multiple_of(unit));
        *padded = whole.ok_or_else(|| {
            let expected = format!("a multiple of {unit} with its pads");
            Error::container(name, expected, format!("{before} + {side} + {behind}"))
        })?;
    }
    Ok(out)
}

/// Rows of the padded picture, as planes between 0 and 1.
pub(super) fn padded_rows(picture: &Picture, pads: Pads, padding: Padding, rows: Range<usize>) -> Planes {
    let [left, right, top] = [pads.left, pads.right, pads.top].map(usize::from);
    let (width, height) = (picture.width(), picture.height());
    let inside = |row: usize| row.saturating_sub(top).min(height - 1);
    let source = inside(rows.start)..inside(rows.end - 1) + 1;
    let pixels = picture.rows(source.clone());
    let mut out = Planes::zeros([3, rows.len(), left + width + right]);
    let (out_width, out_area) = (out.width, out.area());
    for (i, row) in rows.enumerate() {
        let is_inside = (top..top + height).contains(&row);
        if padding == Padding::Zeros && !is_inside {
            continue;
        }
        for channel in 0..3 {
            let from = (channel * source.len() + inside(row) - source.start) * width;
            let line = &pixels[from..from + width];
            let at = channel * out_area + i * out_width;
            let target = &mut out.values[at..at + out_width];
            target[left..left + width].copy_from_slice(line);
            if padding == Padding::Edge {
                target[..left].fill(line[0]);
                target[left + width..].fill(line[width - 1]);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;

    #[test]
    fn edges_are_replicated_and_zeros_are_zeros() {
        let picture = Picture::new(2, 1, vec![255, 0, 0, 0, 255, 51]).expect("a picture");
        let pads = Pads { left: 1, right: 2, top: 1, bottom: 1 };
        let edge = padded_rows(&picture, pads, Padding::Edge, 0..3);
        assert_eq!(edge.shape(), [3, 3, 5], "with pads");
        let red = [1.0, 1.0, 0.0, 0.0, 0.0];
        assert_eq!(edge.values[..15], [red, red, red].concat(), "the red plane");
        let zeros = padded_rows(&picture, pads, Padding::Zeros, 0..3);
        let none = [0.0; 5];
        assert_eq!(zeros.values[..15], [none, [0.0, 1.0, 0.0, 0.0, 0.0], none].concat(), "the red plane");
        for padding in [Padding::Edge, Padding::Zeros] {
            let all = padded_rows(&picture, pads, padding, 0..3);
            for rows in [0..1, 1..3, 2..3] {
                let some = padded_rows(&picture, pads, padding, rows.clone());
                assert_eq!(some, all.rows(rows.clone()), "rows {rows:?}, {padding:?}");
            }
        }
    }

    #[test]
    fn odd_pixels_stand_at_the_right_and_the_bottom() {
        let checkpoint = Checkpoint::default_model().expect("the model");
        let picture = Picture::new(97, 65, vec![0; 97 * 65 * 3]).expect("a picture");
        let pads = Pads { left: 15, right: 16, top: 31, bottom: 32 };
        for padding in [Padding::Edge, Padding::Zeros] {
            assert_eq!(padding.pads(&picture, checkpoint.design()), pads, "{padding:?}");
        }
        assert_eq!(padded_sides(97, 65, pads, checkpoint.design()).expect("sides"), [128, 128], "sides");
        let error = padded_sides(97, 65, Pads::default(), checkpoint.design()).expect_err("odd").to_string();
        assert!(
            error.contains("`height`: expected a multiple of 64 with its pads, found 0 + 65 + 0"),
            "{error}"
        );
    }
}
