//! The one error type of this crate: each variant names the file, the field, the expected and the found.

use std::path::Path;

/// What went wrong while reading, changing or writing splats and meshes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read, holds what does not fit, or cannot be written; or a setting is refused.
    #[error(transparent)]
    Core(#[from] grouping_core::Error),
    /// A Gaussian that no file should hold.
    #[error("row {row}, `{column}`: expected {expected}, found {found}")]
    Value {
        /// The Gaussian, from 0.
        row: usize,
        /// The property, as a 3DGS PLY names it.
        column: String,
        /// What fits.
        expected: String,
        /// What was found.
        found: String,
    },
}

/// Result of this crate's fallible routines.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The core's error, if this is one.
    pub fn core(&self) -> Option<&grouping_core::Error> {
        if let Self::Core(error) = self { Some(error) } else { None }
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
