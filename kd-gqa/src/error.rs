//! The one error type of this crate: what the core says of files and settings, and what is said of heads here.

use std::path::Path;

/// What went wrong while reading, grouping, running or writing a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Query heads that do not make the groups asked for.
    #[error("groups {sizes:?}: expected sizes that sum to {n_heads} heads, found {}", sizes.iter().sum::<usize>())]
    Groups {
        /// The number of query heads of each key/value head.
        sizes: Vec<usize>,
        /// The number of query heads there are.
        n_heads: usize,
    },
    /// A number of key/value heads that does not divide the number of heads.
    #[error(
        "{n_kv_heads} key/value heads do not divide {n_heads} heads: choose a divisor, or unequal groups"
    )]
    Indivisible {
        /// The number of query heads.
        n_heads: usize,
        /// The number of key/value heads asked for.
        n_kv_heads: usize,
    },
    /// Key norms on which the method has no result.
    #[error("{method}: expected {expected}, found {found}")]
    Allocation {
        /// The name of the method.
        method: &'static str,
        /// What it needs.
        expected: String,
        /// What it was given.
        found: String,
    },
    /// A file, a setting or an output does not fit, or a routine of the core failed.
    #[error(transparent)]
    Core(#[from] grouping_core::Error),
}

/// Result of this crate's fallible routines.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The core's error, if this is one.
    pub fn core(&self) -> Option<&grouping_core::Error> {
        if let Self::Core(error) = self { Some(error) } else { None }
    }

    /// What the system said when `action` was tried with `path`.
    pub fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let error = grouping_core::Error::file(path, action);
        |source| error(source).into()
    }

    /// A file whose `field` or tensor is not what its format says.
    pub fn format(
        path: &Path,
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        grouping_core::Error::file_field(path, field, expected, found).into()
    }

    /// A setting that does not fit.
    pub fn setting(name: &str, expected: impl Into<String>, found: impl ToString) -> Self {
        grouping_core::Error::setting(name, expected, found).into()
    }
}
