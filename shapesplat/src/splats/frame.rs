//! Frames: which way the axes of a file point, in three letters.
//!
//! `RDF` says that x points right, y down and z forward, for a viewer who looks along the scene: the frame of COLMAP, of cameras in
//! computer vision and of most PLY files. `RUB` (right, up, back) is OpenGL's, `LUF` (left, up, forward) that of models in glTF, `RUF`
//! (right, up, forward) Unity's, which is left-handed. A frame has one letter of each pair R L, U D and F B, in any order.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// The directions of x, y and z.
///
/// ```
/// use shapesplat::splats::frame::Frame;
/// let frame: Frame = "rub".parse()?;
/// assert_eq!(frame.to_string(), "RUB");
/// assert_eq!(frame.up(), [0., 1., 0.]);
/// assert!(frame.is_right_handed() && !"RUF".parse::<Frame>()?.is_right_handed());
/// assert!("RUD".parse::<Frame>().is_err(), "up and down lie on one axis");
/// # Ok::<(), shapesplat::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame([char; 3]);

/// A direction as right, up and back.
fn direction(letter: char) -> Option<[i8; 3]> {
    Some(match letter {
        'R' => [1, 0, 0],
        'L' => [-1, 0, 0],
        'U' => [0, 1, 0],
        'D' => [0, -1, 0],
        'B' => [0, 0, 1],
        'F' => [0, 0, -1],
        _ => return None,
    })
}

fn dot(a: [i8; 3], b: [i8; 3]) -> i8 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

impl Frame {
    /// Right, down, forward: that of PLY files of 3D Gaussian splatting.
    pub const RDF: Self = Self(['R', 'D', 'F']);

    /// The axes as right, up and back.
    fn axes(self) -> [[i8; 3]; 3] {
        self.0.map(|letter| direction(letter).unwrap_or_default())
    }

    /// Up, in the coordinates of this frame.
    pub fn up(self) -> [f32; 3] {
        self.axes().map(|axis| f32::from(axis[1]))
    }

    /// Right, in the coordinates of this frame.
    pub fn right(self) -> [f32; 3] {
        self.axes().map(|axis| f32::from(axis[0]))
    }

    /// Forward, in the coordinates of this frame.
    pub fn forward(self) -> [f32; 3] {
        self.axes().map(|axis| f32::from(-axis[2]))
    }

    /// Whether x, y and z lie as the thumb, the index and the middle finger of a right hand.
    pub fn is_right_handed(self) -> bool {
        let [a, b, c] = self.axes();
        let cross = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
        dot(cross, c) > 0
    }

    /// The matrix that takes coordinates of this frame to those of `to`: a permutation with signs.
    pub(super) fn matrix_to(self, to: Self) -> [[f64; 3]; 3] {
        to.axes().map(|new| self.axes().map(|old| f64::from(dot(new, old))))
    }
}

impl FromStr for Frame {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || {
            Error::setting("frame", "three letters, one each of R or L, U or D, F or B, such as RDF", text)
        };
        let letters: Vec<char> = text.chars().map(|letter| letter.to_ascii_uppercase()).collect();
        let letters: [char; 3] = letters.try_into().map_err(|_| refuse())?;
        let [a, b, c] = letters.map(direction);
        let (Some(a), Some(b), Some(c)) = (a, b, c) else { return Err(refuse()) };
        let is_axes = dot(a, b) == 0 && dot(b, c) == 0 && dot(a, c) == 0;
        if is_axes { Ok(Self(letters)) } else { Err(refuse()) }
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{letter}"))
    }
}

#[cfg(test)]
mod tests {
    use grouping_core::testing::assert_refused;

    use super::*;

    /// All 48 frames.
    fn all() -> Vec<Frame> {
        let letters = ['R', 'L', 'U', 'D', 'F', 'B'];
        let triples =
            letters.iter().flat_map(|a| letters.iter().flat_map(move |b| letters.map(|c| [*a, *b, c])));
        triples.filter_map(|t| t.iter().collect::<String>().parse().ok()).collect()
    }

    #[test]
    fn there_are_48_half_of_them_right_handed() {
        let all = all();
        assert_eq!(all.len(), 48, "permutations with signs");
        assert_eq!(all.iter().filter(|frame| frame.is_right_handed()).count(), 24, "right-handed ones");
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for text in ["", "RD", "RDFB", "RRF", "RLU", "XYZ", "R F", "ŘDF"] {
            assert_refused(text.parse::<Frame>(), "one each of R or L");
        }
    }

    #[test]
    fn a_direction_keeps_its_meaning() {
        for from in all() {
            for to in all() {
                let matrix = from.matrix_to(to);
                let up = from.up().map(f64::from);
                let moved = matrix.map(|row| row.iter().zip(up).map(|(m, u)| m * u).sum::<f64>() as f32);
                assert_eq!(moved, to.up(), "up from {from} to {to}");
            }
        }
    }
}
