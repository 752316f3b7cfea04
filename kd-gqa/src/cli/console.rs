//! Small outputs beside the result.

use std::io::Write;
use std::path::Path;

use grouping_core::files::output::{Existing, write_file};

/// Writes a text beside its place and renames it; a file that is there is replaced only by `force`.
pub(super) fn write_new(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let existing = if force { Existing::Replace } else { Existing::Refuse };
    Ok(write_file(path, existing, |mut file| {
        let failed =
            |e: std::io::Error| grouping_core::Error::File { path: path.to_owned(), reason: e.to_string() };
        file.write_all(text.as_bytes()).map_err(failed)
    })?)
}
