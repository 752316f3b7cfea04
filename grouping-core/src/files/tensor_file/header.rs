//! Headers of safetensors files: what is in the file and where, checked against the file's length.

use std::collections::BTreeMap;
use std::path::Path;

use indexmap::IndexMap;
use safetensors::tensor::{SafeTensorError, SafeTensors, TensorInfo};
use serde::Deserialize;
use serde_json::Value;

use super::{Place, Stored};
use crate::{Error, Result};

/// What a header says: each tensor in the order of the data, and the free-form metadata.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) tensors: IndexMap<String, Stored>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// Parses the header of the safetensors file `file`; `path` only names it in errors.
///
/// # Errors
/// [`Error::FileField`] for a header that does not fit the file, naming the tensor at fault where there is one.
pub(super) fn parse(path: &Path, file: &[u8]) -> Result<Header> {
    let (length, header) = SafeTensors::read_metadata(file).map_err(|e| misfit(path, file, &e))?;
    let start = length + 8;
    let mut tensors = IndexMap::new();
    for name in header.offset_keys() {
        if let Some(info) = header.info(&name) {
            let (from, to) = info.data_offsets;
            let place = Place::Dense(start + from..start + to);
            tensors.insert(name, Stored { dtype: info.dtype, shape: info.shape.clone(), place });
        }
    }
    let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok(Header { tensors, metadata })
}

/// The error of a header that does not fit its file: the tensor at fault where there is one.
fn misfit(path: &Path, file: &[u8], error: &SafeTensorError) -> Error {
    blame(path, file).unwrap_or_else(|| {
        Error::file_field(path, "header", "a safetensors header that fits the file", error)
    })
}

fn blame(path: &Path, file: &[u8]) -> Option<Error> {
    let (length, rest) = file.split_first_chunk::<8>()?;
    let length = u64::from_le_bytes(*length);
    let Some(header) = usize::try_from(length).ok().and_then(|n| rest.get(..n)) else {
        let expected = format!("at most the {} bytes that follow", rest.len());
        return Some(Error::file_field(path, "header's length", expected, length));
    };
    let n_data_bytes = (rest.len() - header.len()) as u64;
    let entries: IndexMap<String, Value> = serde_json::from_slice(header).ok()?;
    for (name, entry) in entries.iter().filter(|(name, _)| *name != "__metadata__") {
        let Ok(info) = TensorInfo::deserialize(entry) else {
            let expected = "a known dtype, a shape and data_offsets";
            return Some(Error::file_field(path, name, expected, entry));
        };
        let (from, to) = info.data_offsets;
        let n_values = info.shape.iter().try_fold(1u64, |n, &len| n.checked_mul(len as u64));
        let n_bytes = n_values.and_then(|n| n.checked_mul(info.dtype.bitsize() as u64)).map(|bits| bits / 8);
        let found = format!("data_offsets [{from}, {to}]");
        let expected = match n_bytes {
            Some(n)
                if to.checked_sub(from).is_some_and(|found| found as u64 == n)
                    && to as u64 <= n_data_bytes =>
            {
                continue;
            }
            Some(n) => format!(
                "{n} bytes of {:?} values of shape {:?} within {n_data_bytes} bytes of data",
                info.dtype, info.shape
            ),
            None => format!("a shape that a file can hold instead of {:?}", info.shape),
        };
        let size = to.checked_sub(from).map_or_else(String::new, |n| format!(", {n} bytes"));
        return Some(Error::file_field(path, name, expected, found + &size));
    }
    None
}
