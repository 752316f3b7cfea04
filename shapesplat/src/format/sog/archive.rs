//! The zip of a `.sog`, entries stored or deflated; each is unpacked to a bound and no further.

use std::io::{Cursor, Read, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::super::stream;
use crate::{Error, Result};

/// A zip that is read.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    path: &'a Path,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8], path: &'a Path) -> Result<Self> {
        let zip = ZipArchive::new(Cursor::new(bytes));
        Ok(Self { zip: zip.map_err(|error| Error::format(path, "zip", "a whole archive", error))?, path })
    }

    /// The content of a file of at most `most` bytes.
    pub(super) fn take(&mut self, name: &str, most: u64) -> Result<Vec<u8>> {
        let entry =
            self.zip.by_name(name).map_err(|e| Error::format(self.path, name, "a file in the zip", e))?;
        let mut content = Vec::new();
        let read = entry.take(most + 1).read_to_end(&mut content);
        read.map_err(|error| Error::format(self.path, name, "a whole file in the zip", error))?;
        if content.len() as u64 > most {
            return Err(Error::format(self.path, name, format!("at most {most} bytes"), "more"));
        }
        Ok(content)
    }
}

/// Writes the files into a zip, stored: what is in it is compressed.
pub(super) fn write(files: &[(&str, Vec<u8>)], out: &mut dyn Write) -> Result<()> {
    let fail = |error: zip::result::ZipError| stream(std::io::Error::other(error));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        // The same splats make the same file.
        .last_modified_time(DateTime::default());
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, options).map_err(fail)?;
        zip.write_all(content).map_err(stream)?;
    }
    out.write_all(zip.finish().map_err(fail)?.get_ref()).map_err(stream)
}
