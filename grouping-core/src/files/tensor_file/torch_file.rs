//! Files that `torch.save` wrote: a zip archive of a pickle beside its storages, or, before PyTorch 1.6, pickles one after another.
//!
//! Archive: `NAME/data.pkl`, `NAME/data/KEY` for each storage, entries stored as they are; `NAME/byteorder` where it is said.
//! Older: a magic number, a version, sizes of types, the dictionary, and a list of keys, a pickle each; then each
//! storage, its number of values in eight bytes before it. The pickles are read by [`super::pickle`], which runs nothing.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use indexmap::IndexMap;

use super::archive;
use super::pickle::{self, TensorView, Top};
use super::{Place, Stored};
use crate::{Error, Result};

/// A pickle of protocol 2 that begins with the ten bytes of the magic number.
const OLD: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// Whether the file begins with the magic number of `torch.save`, of either age.
pub(super) fn has_magic(file: &[u8]) -> bool {
    file.starts_with(archive::LOCAL) || file.starts_with(OLD)
}

/// Whether the file is one that `torch.save` wrote, or another pickle.
pub(super) fn is_one(file: &[u8]) -> bool {
    // A safetensors file would need a header of 2^40 bytes to begin like a pickle of protocol 2 to 5 with a long rest.
    file.starts_with(archive::LOCAL)
        || (file.starts_with(b"\x80") && matches!(file.get(1), Some(2..=5)) && !is_header(file))
}

/// Whether the first eight bytes can be the length of a header that begins with `{`.
pub(super) fn is_header(file: &[u8]) -> bool {
    file.get(8) == Some(&b'{')
        && file.first_chunk::<8>().is_some_and(|n| u64::from_le_bytes(*n) < file.len() as u64)
}

/// The tensors of the file `file`; `path` only names it in errors.
///
/// # Errors
/// [`Error::FileField`] where the file is damaged, [`Error::Unsupported`] for what would have to be run, or is no tensor.
pub(super) fn parse(path: &Path, file: &[u8]) -> Result<IndexMap<String, Stored>> {
    if file.starts_with(archive::LOCAL) { parse_archive(path, file) } else { parse_old(path, file) }
}

fn unpickle(path: &Path, place: &str, bytes: &[u8]) -> Result<(Top, usize)> {
    pickle::read(bytes).map_err(|misfit| Error::Unsupported {
        path: path.to_path_buf(),
        field: format!("{place}, byte {}", misfit.at),
        found: misfit.found,
        reason: "a pickle is read as a dictionary of tensors, and nothing in it is run",
    })
}

fn parse_archive(path: &Path, file: &[u8]) -> Result<IndexMap<String, Stored>> {
    let broken = |found| Error::file_field(path, "archive", "a zip archive of torch.save", found);
    let (mut places, mut pickle, mut order) = (HashMap::<String, Range<usize>>::new(), None, None);
    for (name, place) in archive::entries(file).map_err(broken)? {
        let Some((_, inner)) = name.split_once('/') else { continue };
        match inner.strip_prefix("data/") {
            Some(key) => _ = places.insert(key.to_string(), place),
            None if inner == "data.pkl" => pickle = Some(place),
            None if inner == "byteorder" => order = Some(&file[place]),
            None => {}
        }
    }
    if let Some(order) = order.filter(|o| o.trim_ascii() != b"little") {
        let found = String::from_utf8_lossy(&order[..order.len().min(16)]).into_owned();
        return Err(Error::file_field(path, "byteorder", "little", found));
    }
    let pickle = pickle.ok_or_else(|| Error::file_field(path, "archive", "data.pkl", "none"))?;
    check_size(path, pickle.len())?;
    let (top, _) = unpickle(path, "data.pkl", &file[pickle])?;
    stored(path, top, |key| places.get(key).cloned())
}

fn check_size(path: &Path, n_bytes: usize) -> Result<()> {
    if n_bytes > pickle::SIZE_LIMIT {
        let expected = format!("at most {} bytes", pickle::SIZE_LIMIT);
        return Err(Error::file_field(path, "data.pkl", expected, n_bytes));
    }
    Ok(())
}

fn parse_old(path: &Path, file: &[u8]) -> Result<IndexMap<String, Stored>> {
    let mut at = 0;
    let mut next = |place: &str| -> Result<(Top, usize)> {
        let (top, n_bytes) = unpickle(path, place, &file[at..])?;
        at += n_bytes;
        Ok((top, at))
    };
    if !file.starts_with(OLD) {
        // A bare pickle: what is in it is named, and if it is a dictionary its tensors have no storages.
        return stored(path, next("pickle")?.0, |_| None);
    }
    for place in ["magic number", "version", "sizes of types"] {
        next(place)?;
    }
    let (top, _) = next("pickle")?;
    let (Top::Names(keys), mut at) = next("keys")? else {
        return Err(Error::file_field(path, "keys", "a list of the storages' names", "something else"));
    };
    let widths: HashMap<&str, usize> = match &top {
        Top::Dict(entries) => {
            let views = entries.iter().filter_map(|(_, view)| view.as_ref().ok());
            views.map(|view| (view.storage.as_str(), view.dtype.bitsize() / 8)).collect()
        }
        _ => HashMap::new(),
    };
    let mut places = HashMap::new();
    for key in &keys {
        let n_values =
            file.get(at..).and_then(|rest| rest.first_chunk::<8>()).map(|n| u64::from_le_bytes(*n));
        let place = n_values.and_then(|n| {
            let n_bytes = usize::try_from(n).ok()?.checked_mul(*widths.get(key.as_str())?)?;
            let from = at + 8;
            from.checked_add(n_bytes).filter(|&to| to <= file.len()).map(|to| from..to)
        });
        let place = place.ok_or_else(|| {
            Error::file_field(path, format!("storage {key}"), "its values inside the file", "none")
        })?;
        at = place.end;
        places.insert(key.clone(), place);
    }
    drop(widths);
    stored(path, top, |key| places.get(key).cloned())
}

/// Checks every tensor of the dictionary against its storage.
fn stored(
    path: &Path,
    top: Top,
    place: impl Fn(&str) -> Option<Range<usize>>,
) -> Result<IndexMap<String, Stored>> {
    let entries = match top {
        Top::Dict(entries) => entries,
        Top::Names(_) => return Err(Error::file_field(path, "pickle", "a dictionary of tensors", "a list")),
        Top::Int(_) => return Err(Error::file_field(path, "pickle", "a dictionary of tensors", "a number")),
        Top::Other(word) => return Err(Error::file_field(path, "pickle", "a dictionary of tensors", word)),
    };
    let mut out = IndexMap::with_capacity(entries.len());
    for (name, view) in entries {
        let view = view.map_err(|word| Error::file_field(path, &name, "a tensor", word))?;
        let storage = place(&view.storage)
            .ok_or_else(|| Error::file_field(path, &name, format!("a storage {}", view.storage), "none"))?;
        let tensor = view_of(&view, storage).ok_or_else(|| {
            let (shape, strides, offset) = (&view.shape, &view.strides, view.offset);
            let found = format!("shape {shape:?}, strides {strides:?} from {offset}");
            Error::file_field(path, &name, format!("a view of {} values", view.n_values), found)
        })?;
        if out.insert(name.clone(), tensor).is_some() {
            return Err(Error::file_field(path, name, "each name once", "it twice"));
        }
    }
    Ok(out)
}

/// The view's bytes in the file; `None` when it leaves its storage.
fn view_of(view: &TensorView, storage: Range<usize>) -> Option<Stored> {
    let width = view.dtype.bitsize() / 8;
    let (shape, strides) = (&view.shape, &view.strides);
    if shape.len() != strides.len() || storage.len() < view.n_values.checked_mul(width)? {
        return None;
    }
    let n = shape.iter().try_fold(1usize, |n, &len| n.checked_mul(len))?;
    let reach = shape.iter().zip(strides).try_fold(0usize, |reach, (&len, &stride)| {
        reach.checked_add(len.saturating_sub(1).checked_mul(stride)?)
    })?;
    let end = if n == 0 { view.offset } else { view.offset.checked_add(reach)?.checked_add(1)? };
    // A view may repeat values (stride 0), but never hold more of them than its storage.
    if end > view.n_values || n > view.n_values {
        return None;
    }
    let bytes = storage.start + view.offset * width..storage.start + end * width;
    let dense = shape
        .iter()
        .enumerate()
        .all(|(axis, &len)| len == 1 || strides[axis] == shape[axis + 1..].iter().product::<usize>());
    let place = if dense || n == 0 {
        Place::Dense(bytes)
    } else {
        Place::Strided { bytes, strides: strides.clone() }
    };
    Some(Stored { dtype: view.dtype, shape: shape.clone(), place })
}
