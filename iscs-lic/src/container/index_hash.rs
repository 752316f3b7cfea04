//! A hash of the tables that an encoder chose, so that a decoder which chooses others notices.

/// The hash of the table indexes of a string's symbols: CRC-32C of the indexes, two bytes each, little-endian; 1 where that is 0.
///
/// ```
/// use iscs_lic::container::{IndexHash, index_hash};
///
/// let mut hash = IndexHash::new();
/// hash.update(&[3, 5]);
/// hash.update(&[8]);
/// assert_eq!(hash.finish(), index_hash(&[3, 5, 8]));
/// assert_ne!(index_hash(&[3, 5, 8]), index_hash(&[3, 5, 9]));
/// ```
pub fn index_hash(indexes: &[u16]) -> u32 {
    let mut hash = IndexHash::new();
    hash.update(indexes);
    hash.finish()
}

/// [`index_hash`] of indexes that come piece by piece.
#[derive(Clone, Copy, Debug, Default)]
pub struct IndexHash {
    crc: u32,
}

impl IndexHash {
    /// Of no index.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds indexes behind those before.
    pub fn update(&mut self, indexes: &[u16]) {
        // A few at a time, for CRC instructions take bytes.
        let mut bytes = [0; 512];
        for piece in indexes.chunks(bytes.len() / 2) {
            for (to, index) in bytes.chunks_exact_mut(2).zip(piece) {
                to.copy_from_slice(&index.to_le_bytes());
            }
            self.crc = crc32c::crc32c_append(self.crc, &bytes[..2 * piece.len()]);
        }
    }

    /// The hash, which is never 0: that stands for none.
    pub fn finish(self) -> u32 {
        self.crc.max(1)
    }
}
