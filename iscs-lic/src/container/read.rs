//! Reading either container: what was found, and which strings are whole.

use serde::Serialize;

use super::coded::{Coded, Role};
use super::limits::Limits;
use super::{CaiHeader, cai, iscs};
use crate::{Error, Result};

/// Which container a picture was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CompressAI's, and the model that it names.
    Cai(CaiHeader),
    /// That of `docs/formats/iscs.md`.
    Iscs,
}

/// What became of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Integrity {
    /// As it was written (an `.iscs` has its checksum; of a `.cai` only the length is known).
    Whole,
    /// The file ends in it or before it.
    Truncated,
    /// Its checksum differs.
    Damaged,
}

/// A file that was read: a coded picture whose strings may not all be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    coded: Coded,
    format: Format,
    states: Vec<Integrity>,
    n_bytes: usize,
}

impl Read {
    pub(super) fn new(coded: Coded, format: Format, states: Vec<Integrity>, n_bytes: usize) -> Self {
        Self { coded, format, states, n_bytes }
    }

    /// The picture; a string that is not whole has no bytes.
    pub fn coded(&self) -> &Coded {
        &self.coded
    }

    /// The container.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What became of each string, in the order of [`Coded::strings`].
    pub fn states(&self) -> &[Integrity] {
        &self.states
    }

    /// The length of the file.
    pub fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// The strings that are not whole.
    pub fn missing(&self) -> impl Iterator<Item = (Role, Integrity)> {
        let strings = self.coded.strings.iter().zip(&self.states);
        strings.filter(|(_, state)| **state != Integrity::Whole).map(|(string, state)| (string.role, *state))
    }

    /// The picture, if all of it is there.
    ///
    /// # Errors
    ///
    /// [`Error::Container`] that names the strings that are not whole.
    pub fn strict(self) -> Result<Coded> {
        let missing: Vec<String> = self
            .missing()
            .map(|(role, state)| {
                let state = if state == Integrity::Damaged { "damaged" } else { "truncated" };
                format!("{role} ({state})")
            })
            .collect();
        if missing.is_empty() {
            Ok(self.coded)
        } else {
            Err(Error::container("strings", "all of them whole", missing.join(", ")))
        }
    }

    /// The picture with the strings that are there, whatever they are.
    pub fn into_partial(self) -> Coded {
        self.coded
    }
}

impl Coded {
    /// Reads an `.iscs` or a `.cai` file, which their first bytes tell apart.
    ///
    /// # Errors
    ///
    /// [`Error::Container`] for a header that is short, damaged, or announces more than the limits; for an unknown version or model; and for bytes
    /// behind the last string. Strings that are damaged or missing are no error here: see [`Read::states`] and [`Read::strict`].
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Read> {
        if bytes.starts_with(&iscs::MAGIC) {
            iscs::read(bytes, limits)
        } else if bytes.first() == Some(&iscs::MAGIC[0]) {
            let found = &bytes[..bytes.len().min(4)];
            Err(Error::container("magic", format!("{:02x?}", iscs::MAGIC), format!("{found:02x?}")))
        } else {
            cai::read(bytes, limits)
        }
    }
}
