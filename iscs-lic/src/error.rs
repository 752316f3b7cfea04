//! The one error type of this crate: each variant names the file, the field, the expected and the found.

use std::path::Path;

/// What went wrong while reading, coding or writing pictures and models.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read, holds what does not fit, or cannot be written; or a setting is refused.
    #[error(transparent)]
    Core(#[from] grouping_core::Error),
    /// Tables or symbols that no stream can hold, or a stream that is not one of these tables.
    #[error("{what}: expected {expected}, found {found}")]
    Coding {
        /// The table, symbol or stream.
        what: String,
        /// What fits.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A coded picture is damaged, or another model's.
    #[error("`{field}`: expected {expected}, found {found}")]
    Container {
        /// The field of the container.
        field: String,
        /// What fits.
        expected: String,
        /// What was found.
        found: String,
    },
    /// An architecture has no layer of a kind.
    #[error("{architecture} has no {layer}")]
    NoLayer {
        /// Its name.
        architecture: &'static str,
        /// The kind.
        layer: &'static str,
    },
}

/// Result of this crate's fallible routines.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The core's error, if this is one.
    pub fn core(&self) -> Option<&grouping_core::Error> {
        if let Self::Core(error) = self { Some(error) } else { None }
    }

    pub(crate) fn coding(what: impl Into<String>, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Coding { what: what.into(), expected: expected.into(), found: found.to_string() }
    }

    pub(crate) fn container(
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        Self::Container { field: field.into(), expected: expected.into(), found: found.to_string() }
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
}
