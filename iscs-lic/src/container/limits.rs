//! What a reader accepts before it allocates anything.

use crate::{Error, Result};

/// The most that a container may announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Width times height; 2²⁸ unless set.
    pub pixels: u64,
    /// Strings; 255 unless set.
    pub strings: u32,
    /// Bytes of all strings together; 2³⁰ unless set.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pixels: 1 << 28, strings: 255, bytes: 1 << 30 }
    }
}

impl Limits {
    /// With this many pixels at most.
    pub fn with_pixels(self, pixels: u64) -> Self {
        Self { pixels, ..self }
    }

    /// With this many strings at most.
    pub fn with_strings(self, strings: u32) -> Self {
        Self { strings, ..self }
    }

    /// With this many bytes of strings at most.
    pub fn with_bytes(self, bytes: u64) -> Self {
        Self { bytes, ..self }
    }

    pub(crate) fn check_size(&self, width: u32, height: u32) -> Result<()> {
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 || pixels > self.pixels {
            let expected = format!("from 1 to {} pixels", self.pixels);
            return Err(Error::container("size", expected, format!("{width} × {height}")));
        }
        Ok(())
    }

    pub(crate) fn check_strings(&self, n: u32) -> Result<()> {
        if n == 0 || n > self.strings {
            return Err(Error::container("number of strings", format!("from 1 to {}", self.strings), n));
        }
        Ok(())
    }

    pub(crate) fn check_bytes(&self, lengths: impl Iterator<Item = u32>) -> Result<()> {
        // At most 255 lengths of 32 bits.
        let total: u64 = lengths.map(u64::from).sum();
        if total > self.bytes {
            return Err(Error::container(
                "length of all strings",
                format!("at most {} bytes", self.bytes),
                total,
            ));
        }
        Ok(())
    }
}
