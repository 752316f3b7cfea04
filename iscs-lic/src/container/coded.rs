//! A coded picture, whatever file holds it.

/// Rows and columns that were added around a picture before coding, and are cut off after decoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// The arithmetic that coded a picture, and must decode it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// One stream of symbols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodedString {
    /// What it holds.
    pub role: Role,
    /// The rANS stream.
    pub bytes: Vec<u8>,
    /// In float arithmetic, a hash of the table index of each symbol ([`Mode::Float`]); else 0.
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
