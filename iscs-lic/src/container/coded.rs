//! A coded picture, whatever file holds it.

use std::fmt;

use serde::Serialize;

/// Rows and columns that were added around a picture before coding, and are cut off after decoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pads {
    /// Columns at the left.
    pub left: u8,
    /// Columns at the right.
    pub right: u8,
    /// Rows at the top.
    pub top: u8,
    /// Rows at the bottom.
    pub bottom: u8,
}

impl Pads {
    /// CompressAI's: to the next multiple of 64 on both sides, centred, the odd pixel at the right and at the bottom.
    ///
    /// ```
    /// use iscs_lic::container::Pads;
    ///
    /// assert_eq!(Pads::centred(97, 65), Pads { left: 15, right: 16, top: 31, bottom: 32 });
    /// ```
    pub fn centred(width: u32, height: u32) -> Self {
        let both = |side: u32| {
            // At most 63.
            let missing = (64 - side % 64) % 64;
            ((missing / 2) as u8, (missing - missing / 2) as u8)
        };
        let ((left, right), (top, bottom)) = (both(width), both(height));
        Self { left, right, top, bottom }
    }
}

/// The arithmetic that coded a picture, and must decode it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// `f32` throughout: another machine may find other tables for the same symbols, which the index hash of a string detects.
    #[default]
    Float,
    /// Integers wherever a symbol's table or mean is decided: the same symbols on every machine.
    Symbols,
    /// Integers throughout: the same picture on every machine.
    Pixels,
}

/// What a string of a coded picture holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The hyper-latent z, from which the tables of the others follow.
    Hyper,
    /// The latent y, or slice `n` of it, in the order of decoding.
    Slice(u8),
    /// The positions of slice `n` that are decoded first (a checkerboard's anchors).
    Anchors(u8),
    /// The other positions of slice `n`.
    NonAnchors(u8),
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hyper => f.write_str("hyper-latent"),
            Self::Slice(n) => write!(f, "slice {n}"),
            Self::Anchors(n) => write!(f, "anchors of slice {n}"),
            Self::NonAnchors(n) => write!(f, "non-anchors of slice {n}"),
        }
    }
}

/// One stream of symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodedString {
    /// What it holds.
    pub role: Role,
    /// The rANS stream; empty where a file's was damaged or missing (no stream is shorter than 8 bytes).
    pub bytes: Vec<u8>,
    /// In float arithmetic, the [`index_hash`](super::index_hash) of its symbols' tables; 0 where there is none, as in a `.cai`.
    pub index_hash: u32,
}

/// A coded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coded {
    /// Of the picture, without pads, in pixels.
    pub width: u32,
    /// Of the picture, without pads, in pixels.
    pub height: u32,
    /// What was added around it.
    pub pads: Pads,
    /// The arithmetic.
    pub mode: Mode,
    /// Which model coded it: BLAKE3 over the neutral names, shapes and bytes of its tensors; zero where a container has none.
    pub model: [u8; 16],
    /// Which plan of the channels; zero without one.
    pub plan: [u8; 8],
    /// The strings, in the order of decoding: the hyper-latent first, where there is one.
    pub strings: Vec<CodedString>,
}
