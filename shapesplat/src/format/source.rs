//! The bytes of a file, mapped a block at a time: a block's pages go when it has been looked at, so that the resident memory is bounded
//! whatever the file's size.

use std::fs::File;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

use memmap2::{Mmap, MmapOptions};

use crate::Result;

/// As much of a file as tells its format, and as a header may take.
pub(crate) const START: usize = 1 << 20;

/// Bytes that are read in blocks.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    File { file: File, path: PathBuf, len: usize },
    Bytes(&'a [u8]),
}

/// A block of them.
#[derive(Debug)]
pub(crate) enum Block<'a> {
    Mapped(Mmap),
    Bytes(&'a [u8]),
}

impl Deref for Block<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl<'a> Source<'a> {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let open = || {
            let file = File::open(path)?;
            let found = file.metadata()?;
            if found.is_dir() {
                return Err(std::io::ErrorKind::IsADirectory.into());
            }
            Ok((file, found.len()))
        };
        let (file, len) = open().map_err(grouping_core::Error::file(path, "open"))?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        Ok(Self::File { file, path: path.to_path_buf(), len })
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::File { len, .. } => *len,
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Its first mebibyte.
    pub(crate) fn start(&self) -> Result<Block<'_>> {
        self.block(0..self.len().min(START))
    }

    /// All of it.
    pub(crate) fn whole(&self) -> Result<Block<'_>> {
        self.block(0..self.len())
    }

    /// The bytes of a range that lies within it.
    pub(crate) fn block(&self, range: Range<usize>) -> Result<Block<'_>> {
        assert!(range.start <= range.end && range.end <= self.len(), "a block lies within its file");
        match self {
            Self::Bytes(bytes) => Ok(Block::Bytes(&bytes[range])),
            // Nothing cannot be mapped.
            Self::File { .. } if range.is_empty() => Ok(Block::Bytes(&[])),
            Self::File { file, path, .. } => {
                let mut options = MmapOptions::new();
                options.offset(range.start as u64).len(range.len()).populate();
                // SAFETY: the map is read only; a file that another process changes meanwhile can change values, which are checked
                // once they are read, and no offset is read twice.
                let map = unsafe { options.map(file) }.map_err(grouping_core::Error::file(path, "map"))?;
                Ok(Block::Mapped(map))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn blocks_begin_anywhere_and_may_be_empty() {
        let bytes: Vec<u8> = (0..100_000).map(|i| (i % 251) as u8).collect();
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(&bytes).expect("written");
        let mapped = Source::open(file.path()).expect("a source");
        for source in [&mapped, &Source::Bytes(&bytes)] {
            for range in [0..0, 1..5000, 4096..8192, 99_999..100_000, 100_000..100_000] {
                let block = source.block(range.clone()).expect("a block");
                assert_eq!(&*block, &bytes[range.clone()], "{range:?}");
            }
            assert_eq!(source.start().expect("a start").len(), bytes.len(), "a short file is its start");
        }
    }
}
