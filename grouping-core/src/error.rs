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
    /// A name that is no device.
    #[error("unknown device `{input}`: expected flex, wgpu[:index], vulkan[:index] or cuda[:index]")]
    UnknownDevice {
        /// The name that was given.
        input: String,
    },
    /// The backend of a device is not part of this build.
    #[error("device `{device}`: this build lacks the feature `{feature}`")]
    DeviceNotCompiled {
        /// The device that was asked for.
        device: String,
        /// The feature that compiles its backend in.
        feature: &'static str,
    },
    /// A device was not found or could not be opened.
    #[error("device `{device}` is not available: {reason}")]
    NoDevice {
        /// The device that was asked for.
        device: String,
        /// What was found instead.
        reason: String,
    },
}

/// Result of this crate's fallible routines.
pub type Result<T> = std::result::Result<T, Error>;
