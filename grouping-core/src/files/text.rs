//! Files of a bounded size: what is longer than its kind ever is (or never ends) is refused, not held.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{Error, Result};

/// Reads a text of at most `limit` bytes.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read, [`Error::File`] for one that is no UTF-8, [`Error::FileField`] for one that is longer.
pub fn read_text(path: &Path, limit: u64) -> Result<String> {
    String::from_utf8(read_bytes(path, limit)?)
        .map_err(|e| Error::File { path: path.to_path_buf(), reason: format!("cannot read: no UTF-8: {e}") })
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read, [`Error::FileField`] for one that is longer.
pub fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(Error::file(path, "read"))?;
    let mut bytes = vec![];
    // One byte more than the limit: the length that a device or pipe claims says nothing.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::file(path, "read"))?;
    if bytes.len() as u64 > limit {
        return Err(Error::file_field(path, "size", format!("at most {limit} bytes"), "more"));
    }
    Ok(bytes)
}
