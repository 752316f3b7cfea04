//! Buffers of glTF: the one of a GLB, data URIs, and files below the folder of the glTF.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use gltf::json::Root;
use grouping_core::files::text::read_bytes;

use crate::{Error, Result};

/// With or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const LONGEST: u64 = 1 << 32;

/// The bytes of all buffers.
pub(super) struct Buffers<'a> {
    bytes: Vec<Cow<'a, [u8]>>,
    folder: PathBuf,
}

impl<'a> Buffers<'a> {
    pub(super) fn read(root: &Root, blob: Option<&'a [u8]>, path: &Path) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let mut buffers = Self { bytes: vec![], folder };
        for (i, buffer) in root.buffers.iter().enumerate() {
            let place = || format!("buffers[{i}]");
            let bytes = match (&buffer.uri, blob) {
                (Some(uri), _) => {
                    let bytes = buffers.resource(uri);
                    let read = bytes
                        .map_err(|found| Error::format(path, place(), "a buffer that can be read", found));
                    Cow::Owned(read?)
                }
                (None, Some(blob)) if i == 0 => Cow::Borrowed(blob),
                (None, _) => return Err(Error::format(path, place(), "a URI or the chunk BIN", "none")),
            };
            if (bytes.len() as u64) < buffer.byte_length.0 {
                let expected = format!("{} bytes", buffer.byte_length.0);
                return Err(Error::format(path, place(), expected, format!("{} bytes", bytes.len())));
            }
            buffers.bytes.push(bytes);
        }
        Ok(buffers)
    }

    /// Bytes in all buffers.
    pub(super) fn size(&self) -> usize {
        self.bytes.iter().map(|bytes| bytes.len()).sum()
    }

    /// The bytes of a view.
    pub(super) fn view(&self, root: &Root, index: usize, path: &Path) -> Result<&[u8]> {
        let view = &root.buffer_views[index];
        let bytes = &self.bytes[view.buffer.value()];
        let (offset, length) = (view.byte_offset.map_or(0, |offset| offset.0), view.byte_length.0);
        let range = offset.checked_add(length).filter(|&end| end <= bytes.len() as u64);
        range.map(|end| &bytes[offset as usize..end as usize]).ok_or_else(|| {
            let expected = format!("{length} bytes from byte {offset} of its buffer");
            Error::format(path, format!("bufferViews[{index}]"), expected, format!("{} bytes", bytes.len()))
        })
    }

    /// What a URI refers to.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn resource(&self, uri: &str) -> std::result::Result<Vec<u8>, String> {
        if let Some(data) = uri.strip_prefix("data:") {
            let Some((_, text)) = data.split_once(";base64,") else {
                return Err("a data URI that is not base64".into());
            };
            return BASE64.decode(text.trim()).map_err(|e| format!("no base64: {e}"));
        }
        let name = percent_decoded(uri).ok_or("no UTF-8 in a URI")?;
        let is_below =
            !name.contains([':', '\\']) && !name.starts_with('/') && name.split('/').all(|part| part != "..");
        if !is_below {
            return Err(format!("`{name}`, which is not below the folder of the file"));
        }
        let path = self.folder.join(&name);
        let says = |e: grouping_core::Error| match std::error::Error::source(&e) {
            Some(source) => format!("{e}: {source}"),
            None => e.to_string(),
        };
        // A link may lead elsewhere.
        let around = if self.folder.as_os_str().is_empty() { Path::new(".") } else { &self.folder };
        if let (Ok(place), Ok(folder)) = (path.canonicalize(), around.canonicalize())
            && !place.starts_with(folder)
        {
            return Err(format!("`{name}`, which is not below the folder of the file"));
        }
        read_bytes(&path, LONGEST).map_err(says)
    }
}

fn percent_decoded(uri: &str) -> Option<String> {
    let mut bytes = vec![];
    let mut rest = uri.as_bytes();
    while let [first, others @ ..] = rest {
        let digits = (*first == b'%').then(|| others.get(..2)).flatten();
        let code =
            digits.and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 16).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &others[2..];
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8(bytes).ok()
}
