//! The one error type of this crate.

/// What went wrong in a routine of this crate; every variant says what was expected and what was found.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two shapes that must agree do not.
    #[error("{what}: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// The argument that is wrong.
        what: String,
        /// The shape that fits.
        expected: Vec<usize>,
        /// The shape that was given.
        found: Vec<usize>,
    },
    /// A value is NaN or infinite.
    #[error("{what}: value {value} at index {index} is not finite")]
    NotFinite {
        /// The argument that holds the value.
        what: String,
        /// Its flat, row-major index.
        index: usize,
        /// The value.
        value: f64,
    },
    /// An iterative decomposition did not converge.
    #[error("{what}: no convergence")]
    NoConvergence {
        /// The decomposition.
        what: String,
    },
}

/// Result of this crate's fallible routines.
pub type Result<T> = std::result::Result<T, Error>;
