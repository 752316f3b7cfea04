//! Zip archives whose entries are stored as they are: where in the file each one lies.
//!
//! The end record (and that of zip64) gives the central directory, whose records give names, sizes and local headers. Nothing is
//! decompressed, and memory is bounded by the directory's bytes. `torch.save` writes no other archives.

use std::ops::Range;

/// The first local header of an archive.
pub(super) const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";

const END_LEN: usize = 22;
const LOCATOR_64_LEN: usize = 20;
/// A comment after the end record takes at most this many bytes.
const COMMENT_LEN: usize = u16::MAX as usize;

/// Name and bytes of every entry.
///
/// # Errors
/// What is at fault, in words.
pub(super) fn entries(file: &[u8]) -> Result<Vec<(String, Range<usize>)>, String> {
    let (mut at, n_entries, n_bytes) = directory(file)?;
    let end =
        at.checked_add(n_bytes).filter(|&end| end <= file.len()).ok_or("a directory beyond the file")?;
    let mut out = vec![];
    while at < end {
        let record = file.get(at..end).filter(|r| r.starts_with(CENTRAL)).ok_or("a damaged directory")?;
        let lens = [28, 30, 32].map(|i| number(record, i, 2));
        let [Some(name_len), Some(extra_len), Some(comment_len)] = lens else {
            return Err("a cut directory".into());
        };
        let name = record.get(46..46 + name_len).ok_or("a cut directory")?;
        let name = String::from_utf8_lossy(name).into_owned();
        let extra = record.get(46 + name_len..46 + name_len + extra_len).ok_or("a cut directory")?;
        if number(record, 10, 2) != Some(0) || number(record, 8, 2).is_none_or(|flags| flags & 1 != 0) {
            return Err(format!("`{name}`, which is not stored as it is"));
        }
        let place = place(file, record, extra).ok_or_else(|| format!("`{name}`, which leaves the file"))?;
        out.push((name, place));
        at += 46 + name_len + extra_len + comment_len;
    }
    if out.len() != n_entries {
        return Err(format!("{} entries where {n_entries} are announced", out.len()));
    }
    Ok(out)
}

/// A little-endian number of `n_bytes` at `at`.
fn number(bytes: &[u8], at: usize, n_bytes: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(n_bytes)?)?;
    let mut wide = [0; 8];
    wide[..n_bytes].copy_from_slice(bytes);
    usize::try_from(u64::from_le_bytes(wide)).ok()
}

/// Begin, number of entries and bytes of the central directory.
fn directory(file: &[u8]) -> Result<(usize, usize, usize), String> {
    let missing = || "no end record of a zip archive".to_string();
    let last = file.len().checked_sub(END_LEN).ok_or_else(missing)?;
    let first = last.saturating_sub(COMMENT_LEN);
    let end = (first..=last).rev().find(|&i| file[i..].starts_with(END)).ok_or_else(missing)?;
    let (n_entries, n_bytes, begin) =
        (number(file, end + 10, 2), number(file, end + 12, 4), number(file, end + 16, 4));
    let (Some(n_entries), Some(n_bytes), Some(begin)) = (n_entries, n_bytes, begin) else {
        return Err(missing());
    };
    let beyond = n_entries == 0xffff || n_bytes == 0xffff_ffff || begin == 0xffff_ffff;
    let locator = end.checked_sub(LOCATOR_64_LEN).filter(|&i| file[i..].starts_with(LOCATOR_64));
    let Some(locator) = locator.filter(|_| beyond) else {
        return Ok((begin, n_entries, n_bytes));
    };
    let wide = number(file, locator + 8, 8).filter(|&i| file.get(i..).is_some_and(|r| r.starts_with(END_64)));
    let field = |at: usize| wide.and_then(|wide| number(file, wide.checked_add(at)?, 8));
    match (field(48), field(32), field(40)) {
        (Some(begin), Some(n_entries), Some(n_bytes)) => Ok((begin, n_entries, n_bytes)),
        _ => Err("a damaged end record of zip64".into()),
    }
}

/// Bytes of one entry, behind its local header.
fn place(file: &[u8], record: &[u8], extra: &[u8]) -> Option<Range<usize>> {
    let (mut packed, mut size, mut local) =
        (number(record, 20, 4)?, number(record, 24, 4)?, number(record, 42, 4)?);
    // Sizes and offsets that do not fit stand in an extra field, in this order, those that are needed only.
    if let Some(wide) = extra_field(extra, 1) {
        let mut at = 0;
        for value in [&mut size, &mut packed, &mut local] {
            if *value == 0xffff_ffff {
                *value = number(wide, at, 8)?;
                at += 8;
            }
        }
    }
    let header = file.get(local..).filter(|h| h.starts_with(LOCAL))?;
    let from = local.checked_add(30 + number(header, 26, 2)? + number(header, 28, 2)?)?;
    let to = from.checked_add(size)?;
    (packed == size && to <= file.len()).then_some(from..to)
}

fn extra_field(mut extra: &[u8], wanted: usize) -> Option<&[u8]> {
    loop {
        let (id, len) = (number(extra, 0, 2)?, number(extra, 2, 2)?);
        let body = extra.get(4..4 + len)?;
        if id == wanted {
            return Some(body);
        }
        extra = &extra[4 + len..];
    }
}
