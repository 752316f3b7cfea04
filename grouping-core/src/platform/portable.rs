//! Any system, by the standard library alone: writes behind a lock, no renaming with conditions, files synced but not folders.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use memmap2::Mmap;

/// A file that is written at given places, from any thread; one thread at a time.
#[derive(Debug)]
pub(crate) struct Positioned(Mutex<File>);

impl Positioned {
    pub(crate) fn new(file: File) -> Self {
        Self(Mutex::new(file))
    }

    /// Writes all of `bytes` from byte `at` of the file on.
    pub(crate) fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        // Every write seeks first, so a thread that panicked leaves nothing to be repaired.
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)
    }
}

/// Always an error: the standard library cannot rename and check in one step.
pub(crate) fn rename_new(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Always an error: the standard library cannot exchange two files.
pub(crate) fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Waits until a file is on the disk. Folders are left to the system: Windows opens none as a file, and its file system keeps a
/// journal of them.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    // A file must be open for writing to be synced on Windows; one that was copied with the attribute read-only cannot be.
    let found = path.metadata()?;
    if found.is_dir() || found.permissions().readonly() {
        return Ok(());
    }
    File::options().write(true).open(path)?.sync_all()
}

/// Does nothing: the system takes pages back when memory is short.
pub(crate) fn release(_: &Mmap, _: Range<usize>) {}

/// Large pages are left to the system.
#[cfg(feature = "nn")]
pub(crate) fn prefer_large_pages(_: &mut [f32]) {}
