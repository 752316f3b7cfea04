//! Text files of a bounded size: what is longer than its kind ever is (or never ends) is refused, not held.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{Error, Result};

/// Reads a text of at most `limit` bytes.
///
/// # Errors
/// [`Error::File`] for a file that cannot be read or is no UTF-8, [`Error::FileField`] for one that is longer.
pub fn read_text(path: &Path, limit: u64) -> Result<String> {
    let file = File::open(path).map_err(Error::file(path, "read"))?;
    let mut text = String::new();
    // One byte more than the limit: the length that a device or pipe claims says nothing.
    file.take(limit + 1).read_to_string(&mut text).map_err(Error::file(path, "read"))?;
    if text.len() as u64 > limit {
        return Err(Error::file_field(path, "size", format!("at most {limit} bytes"), "more"));
    }
    Ok(text)
}
