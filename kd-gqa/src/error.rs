//! The one error type of this crate: each variant names the file, the field or tensor, the expected and the found.
//!
//! What the system or a numeric routine said is the error's source, and not in its own words too.

use std::path::{Path, PathBuf};

/// What went wrong while reading, grouping, running or writing a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{}: cannot {action}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file's content is not what its format says.
    #[error("{}: {field}: expected {expected}, found {found}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The field or tensor.
        field: String,
        /// What fits.
        expected: String,
        /// What is there.
        found: String,
    },
    /// An option or argument does not fit.
    #[error("{option}: expected {expected}, found {found}")]
    Option {
        /// Its name.
        option: &'static str,
        /// What fits.
        expected: String,
        /// What was given.
        found: String,
    },
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
        "{n_kv_heads} key/value heads do not divide {n_heads} heads: choose a divisor, or unequal groups (--ragged)"
    )]
    Indivisible {
        /// The number of query heads.
        n_heads: usize,
        /// The number of key/value heads asked for.
        n_kv_heads: usize,
    },
    /// Key norms on which the method has no result: the released code would never end.
    #[error("{method}: expected {expected}, found {found}")]
    Allocation {
        /// The method.
        method: crate::allocation::Method,
        /// What it needs.
        expected: String,
        /// What it was given.
        found: String,
    },
    /// The output is there already.
    #[error("{}: exists already; --force replaces it", path.display())]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// A routine of the core failed.
    #[error(transparent)]
    Core(#[from] grouping_core::Error),
}

/// Result of this crate's fallible routines.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An [`Error::Io`] of what the system said when `action` was tried with `path`.
    pub fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, action, source }
    }

    /// An [`Error::Format`].
    pub fn format(
        path: &Path,
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        let (field, expected, found) = (field.into(), expected.into(), found.to_string());
        Self::Format { path: path.to_path_buf(), field, expected, found }
    }

    /// An [`Error::Option`].
    pub fn option(option: &'static str, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Option { option, expected: expected.into(), found: found.to_string() }
    }
}
