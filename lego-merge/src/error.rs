//! The one error type of this crate: each variant names the file, the field or tensor, the expected and the found.
//!
//! What the system or a numeric routine said is the error's source, and not in its own words too.

use std::path::{Path, PathBuf};

/// What went wrong while reading, merging or writing adapters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written, an output is there already, or a routine of the core failed.
    #[error(transparent)]
    Core(grouping_core::Error),
    /// The adapter uses something that merging would silently get wrong.
    #[error("{}: {field} = {found} is not supported: {reason}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field or tensor.
        field: String,
        /// Its value.
        found: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// Adapters that cannot be merged with each other.
    #[error("{}: {field}: expected {expected} as in {}, found {found}", path.display(), first.display())]
    Conflict {
        /// The adapter that differs.
        path: PathBuf,
        /// The adapter that it differs from.
        first: PathBuf,
        /// The field or tensor.
        field: String,
        /// The first adapter's value.
        expected: String,
        /// The other's.
        found: String,
    },
    /// A numeric routine failed on one module.
    #[error("module `{module}` cannot be computed")]
    Numeric {
        /// The module.
        module: String,
        /// What failed.
        source: grouping_core::Error,
    },
}

/// Result of this crate's fallible routines.
pub type Result<T> = std::result::Result<T, Error>;

impl From<grouping_core::Error> for Error {
    /// What is wrong with a file's content is said in this crate's words.
    fn from(error: grouping_core::Error) -> Self {
        match error {
            grouping_core::Error::Unsupported { path, field, found, reason } => {
                Self::Unsupported { path, field, found, reason }
            }
            other => Self::Core(other),
        }
    }
}

impl Error {
    /// The core's error, if this is one.
    pub fn core(&self) -> Option<&grouping_core::Error> {
        if let Self::Core(error) = self { Some(error) } else { None }
    }

    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let error = grouping_core::Error::file(path, action);
        |source| error(source).into()
    }

    pub(crate) fn format(
        path: &Path,
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        grouping_core::Error::file_field(path, field, expected, found).into()
    }

    pub(crate) fn setting(name: &str, expected: impl Into<String>, found: impl ToString) -> Self {
        let (name, expected, found) = (name.into(), expected.into(), found.to_string());
        Self::Core(grouping_core::Error::Setting { name, expected, found })
    }

    pub(crate) fn numeric(module: &str) -> impl Fn(grouping_core::Error) -> Self + '_ {
        move |source| Self::Numeric { module: module.into(), source }
    }
}
