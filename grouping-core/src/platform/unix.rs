//! Unix: positional writes, `renameat2` and its kin, `fsync` of folders, `madvise`.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use memmap2::{Mmap, UncheckedAdvice};

/// A file that is written at given places, from any thread.
#[derive(Debug)]
pub(crate) struct Positioned(File);

impl Positioned {
    pub(crate) fn new(file: File) -> Self {
        Self(file)
    }

    /// Writes all of `bytes` from byte `at` of the file on.
    pub(crate) fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }
}

/// Renames `from` to `to` where nothing is; an error where something is, or where the system or this file system cannot tell in the
/// same step.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    rename::new(from, to)
}

/// Exchanges two files or folders in one step; an error where the system or this file system cannot.
pub(crate) fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    rename::exchange(a, b)
}

/// Waits until a file, or the entries of a folder, are on the disk.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(path).and_then(|file| file.sync_all()) {
        // Some file systems cannot sync a folder, and some folders may be written to but not read.
        Err(e) if matches!(e.kind(), InvalidInput | Unsupported | PermissionDenied) && path.is_dir() => {
            Ok(())
        }
        done => done,
    }
}

/// Lets go of the resident pages of `range`, which are read from the file again when they are wanted.
pub(crate) fn release(map: &Mmap, range: Range<usize>) {
    // SAFETY: the map is a read-only view of a file, so its pages hold nothing that the file does not. A system
    // that does not take the advice keeps the pages, which is no error.
    let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
}

/// Asks for large pages behind a buffer of some megabytes that is about to be written for the first time: one fault for 2 MB instead of
/// 512. A system that does not take the advice has small pages.
#[cfg(feature = "nn")]
pub(crate) fn prefer_large_pages(buffer: &mut [f32]) {
    #[cfg(target_os = "linux")]
    {
        use std::ffi::{c_int, c_void};

        // Of the C library that the standard library links.
        unsafe extern "C" {
            fn madvise(start: *mut c_void, n_bytes: usize, advice: c_int) -> c_int;
        }
        /// `MADV_HUGEPAGE`.
        const HUGE_PAGES: c_int = 14;
        /// At least the size of a page; a start must be on one.
        const ALIGNMENT: usize = 1 << 16;

        let n_bytes = size_of_val(buffer);
        let start = buffer.as_mut_ptr().cast::<u8>();
        let before = start.align_offset(ALIGNMENT);
        if before < n_bytes {
            let n_bytes = (n_bytes - before) / ALIGNMENT * ALIGNMENT;
            // SAFETY: the range lies in the buffer, and the advice changes no content.
            unsafe { madvise(start.add(before).cast(), n_bytes, HUGE_PAGES) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = buffer;
}

/// Renaming with flags.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
mod rename {
    use std::io;
    use std::path::Path;

    use rustix::fs::{CWD, RenameFlags, renameat_with};

    pub(super) fn new(from: &Path, to: &Path) -> io::Result<()> {
        Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
    }

    pub(super) fn exchange(a: &Path, b: &Path) -> io::Result<()> {
        Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
    }
}

/// Other Unixes have no such call.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
mod rename {
    use std::io;
    use std::path::Path;

    pub(super) fn new(_: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn exchange(_: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
