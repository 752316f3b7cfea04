//! The one error type of this crate: each variant names the file, the field or tensor, the expected and the found.
//!
//! What the system or a numeric routine said is the error's source, and not in its own words too.

use std::path::{Path, PathBuf};

/// What went wrong while reading, merging or writing adapters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read, holds what does not fit or would be merged wrongly, or cannot be written; or a setting is refused.
    #[error(transparent)]
    Core(#[from] grouping_core::Error),
    /// Adapters that cannot be merged with each other.
    #[error("{}: {field}: expected {expected} as in {}, found {found}", path.display(), first.display())]
    Conflict {
        /// The adapter that differs.
        path: PathBuf,
        /// The adapter that it differs from.
        first: PathBuf,
        /// The field or tensor.
        field: Box<str>,
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
        source: Box<grouping_core::Error>,
    },
}

/// Result of this crate's fallible routines.
pub type Result<T> = std::result::Result<T, Error>;

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
        grouping_core::Error::setting(name, expected, found).into()
    }

    /// Something that merging would silently get wrong, or that a format has no place for.
    pub(crate) fn unsupported(
        path: &Path,
        field: impl Into<String>,
        found: impl ToString,
        reason: &'static str,
    ) -> Self {
        let (path, field, found) = (path.into(), field.into(), found.to_string());
        grouping_core::Error::Unsupported { path, field, found, reason }.into()
    }

    pub(crate) fn numeric(module: &str) -> impl Fn(grouping_core::Error) -> Self + '_ {
        move |source| Self::Numeric { module: module.into(), source: source.into() }
    }
}
