//! Strips that bound the memory of the transforms.

/// Values of the widest layer that a strip may have, where it has more rows than [`LEAST_ROWS`].
const VALUES: usize = 24 << 20;
/// Rows of the picture below which neighbouring strips would compute much of each other.
const LEAST_ROWS: usize = 256;

/// Rows of the picture a strip, for a picture of `width` pixels and transforms of `n` channels.
///
/// The widest layer of a transform has `n` channels at half of both sides. A picture of 8,000 columns is cut into strips of 393 rows for
/// n = 32, and of 256 rows for n = 192.
pub(super) fn strip_rows(width: usize, n: usize) -> usize {
    (4 * VALUES / (width * n).max(1)).max(LEAST_ROWS)
}
