//! `.iscs`: a container with a fingerprint of the model and checksums, as `docs/formats/iscs.md` defines it.

use std::collections::BTreeSet;

use super::coded::{Coded, CodedString, Mode, Pads, Role};
use super::limits::Limits;
use super::read::{Format, Integrity, Read};
use crate::{Error, Result};

/// What a file begins with; no model id of CompressAI is as high as its first byte.
pub const MAGIC: [u8; 4] = [0x8a, b'I', b'S', b'C'];
const VERSION: u8 = 1;
/// Bytes before the entries of the strings.
const FIXED: usize = 44;
/// Bytes of an entry.
const ENTRY: usize = 13;
/// The largest number of a slice.
const MOST: u8 = 63;

fn role_byte(role: Role) -> Result<u8> {
    let (kind, n) = match role {
        Role::Hyper => (0, 0),
        Role::Slice(n) => (1, n),
        Role::Anchors(n) => (2, n),
        Role::NonAnchors(n) => (3, n),
    };
    if n > MOST {
        return Err(Error::container("slice of a string", format!("from 0 to {MOST}"), n));
    }
    Ok(kind << 6 | n)
}

fn role_of(byte: u8) -> Option<Role> {
    let n = byte & MOST;
    match byte >> 6 {
        0 => (n == 0).then_some(Role::Hyper),
        1 => Some(Role::Slice(n)),
        2 => Some(Role::Anchors(n)),
        _ => Some(Role::NonAnchors(n)),
    }
}

/// Whether the roles can stand in a file in this order.
fn check_roles(roles: impl Iterator<Item = Role>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for (i, role) in roles.enumerate() {
        if !seen.insert(role) {
            return Err(Error::container(format!("role of string {i}"), "no role twice", role));
        }
        if role == Role::Hyper && i > 0 {
            return Err(Error::container(format!("role of string {i}"), "the hyper-latent first", role));
        }
    }
    Ok(())
}

impl Coded {
    /// The bytes of an `.iscs` file: 48, 13 a string, and the strings.
    ///
    /// ```
    /// use iscs_lic::container::{Coded, CodedString, Limits, Mode, Pads, Role};
    ///
    /// let strings = vec![CodedString { role: Role::Slice(0), bytes: vec![0; 8], index_hash: 0 }];
    /// let coded = Coded { width: 3, height: 2, pads: Pads::default(), mode: Mode::Pixels, model: [7; 16], plan: [0; 8], strings };
    /// let bytes = coded.to_iscs()?;
    /// assert_eq!(bytes.len(), 48 + 13 + 8);
    /// assert_eq!(Coded::read(&bytes, &Limits::default())?.strict()?, coded);
    /// # Ok::<(), iscs_lic::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Container`] for a size of 0, for no string or more than 255, for a string of 2³² bytes, for slices above 63, and for roles that stand twice or out
    /// of order.
    pub fn to_iscs(&self) -> Result<Vec<u8>> {
        if self.width == 0 || self.height == 0 {
            return Err(Error::container(
                "size",
                "at least 1 × 1",
                format!("{} × {}", self.width, self.height),
            ));
        }
        let n = self.strings.len();
        let Some(n_strings) = u8::try_from(n).ok().filter(|&n| n > 0) else {
            return Err(Error::container("number of strings", "from 1 to 255", n));
        };
        check_roles(self.strings.iter().map(|string| string.role))?;
        let length: usize = self.strings.iter().map(|string| string.bytes.len()).sum();
        let mut file = Vec::with_capacity(FIXED + n * ENTRY + 4 + length);
        file.extend(MAGIC);
        let mode = match self.mode {
            Mode::Float => 0,
            Mode::Symbols => 1,
            Mode::Pixels => 2,
        };
        file.extend([VERSION, mode, 0]);
        file.extend(self.width.to_le_bytes());
        file.extend(self.height.to_le_bytes());
        let Pads { left, right, top, bottom } = self.pads;
        file.extend([left, right, top, bottom]);
        file.extend(self.model);
        file.extend(self.plan);
        file.push(n_strings);
        for CodedString { role, bytes, index_hash } in &self.strings {
            let Ok(length) = u32::try_from(bytes.len()) else {
                return Err(Error::container(
                    format!("length of {role}"),
                    "less than 2³² bytes",
                    bytes.len(),
                ));
            };
            file.push(role_byte(*role)?);
            for word in [length, crc32c::crc32c(bytes), *index_hash] {
                file.extend(word.to_le_bytes());
            }
        }
        file.extend(crc32c::crc32c(&file).to_le_bytes());
        for string in &self.strings {
            file.extend(&string.bytes);
        }
        Ok(file)
    }
}

/// What stands in a header, byte after byte; its length was checked.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("a header of checked length");
        self.0 = rest;
        *field
    }

    fn byte(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }
}

/// A file that begins with [`MAGIC`].
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Read> {
    let short = |expected: usize| Error::container("header", format!("{expected} bytes"), bytes.len());
    // Before anything that a later version may have changed.
    if let Some(&version) = bytes.get(MAGIC.len()).filter(|&&version| version != VERSION) {
        return Err(Error::container("version", VERSION.to_string(), version));
    }
    let n = usize::from(*bytes.get(FIXED - 1).ok_or_else(|| short(FIXED + ENTRY + 4))?);
    let header = FIXED + n * ENTRY;
    let Some((header, rest)) = bytes.split_at_checked(header) else { return Err(short(header + 4)) };
    let Some((crc, body)) = rest.split_first_chunk() else { return Err(short(header.len() + 4)) };
    let (stored, computed) = (u32::from_le_bytes(*crc), crc32c::crc32c(header));
    if stored != computed {
        return Err(Error::container(
            "CRC of the header",
            format!("{computed:#010x}"),
            format!("{stored:#010x}"),
        ));
    }
    let mut fields = Fields(&header[MAGIC.len() + 1..]);
    let mode = match fields.byte() {
        0 => Mode::Float,
        1 => Mode::Symbols,
        2 => Mode::Pixels,
        other => return Err(Error::container("mode", "0, 1 or 2", other)),
    };
    let flags = fields.byte();
    if flags != 0 {
        return Err(Error::container("flags", "0", flags));
    }
    let (width, height) = (fields.word(), fields.word());
    limits.check_size(width, height)?;
    let [left, right, top, bottom] = fields.take();
    let pads = Pads { left, right, top, bottom };
    let (model, plan) = (fields.take(), fields.take());
    limits.check_strings(u32::from(fields.byte()))?;
    let mut entries = Vec::with_capacity(n);
    for i in 0..n {
        let byte = fields.byte();
        let role = role_of(byte).ok_or_else(|| {
            Error::container(format!("role of string {i}"), "a hyper-latent without number", byte)
        })?;
        entries.push((role, fields.word(), fields.word(), fields.word()));
    }
    check_roles(entries.iter().map(|entry| entry.0))?;
    limits.check_bytes(entries.iter().map(|entry| entry.1))?;
    let (mut strings, mut states) = (Vec::with_capacity(n), Vec::with_capacity(n));
    // None behind a string that is cut: an empty one is not there either.
    let mut rest = Some(body);
    for (role, length, crc, index_hash) in entries {
        let found = rest.and_then(|rest| rest.split_at_checked(length as usize));
        rest = found.map(|(_, behind)| behind);
        let bytes = found.map_or(&[][..], |(bytes, _)| bytes);
        let state = match found {
            None => Integrity::Truncated,
            Some(_) if crc32c::crc32c(bytes) != crc => Integrity::Damaged,
            Some(_) => Integrity::Whole,
        };
        let bytes = if state == Integrity::Whole { bytes.to_vec() } else { Vec::new() };
        strings.push(CodedString { role, bytes, index_hash });
        states.push(state);
    }
    if let Some(behind) = rest.filter(|rest| !rest.is_empty()) {
        return Err(Error::container("end of the file", "no byte after the last string", behind.len()));
    }
    let coded = Coded { width, height, pads, mode, model, plan, strings };
    Ok(Read::new(coded, Format::Iscs, states, bytes.len()))
}
