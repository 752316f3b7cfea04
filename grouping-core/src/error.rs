//! The one error type of this crate, and of what the crates above share.
//!
//! What the system said is an error's source, and not in its own words too.

use std::path::Path;
use std::sync::Arc;

/// What went wrong in a routine of this crate; every variant says what was expected and what was found.
#[derive(Debug, Clone, thiserror::Error)]
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
    /// More clusters than points, or none.
    #[error("{n_clusters} clusters of {n_points} points: expected at least 1 and at most as many as points")]
    ClusterCount {
        /// The number of clusters asked for.
        n_clusters: usize,
        /// The number of points.
        n_points: usize,
    },
    /// A setting does not fit.
    #[error("{name}: expected {expected}, found {found}")]
    Setting {
        /// The setting.
        name: String,
        /// What fits.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A row has no direction, which the cosine metric needs.
    #[error("{what}: row {row} has length 0, which has no cosine")]
    ZeroNorm {
        /// The argument that holds the row.
        what: String,
        /// Its index.
        row: usize,
    },
    /// A device failed to deliver a tensor's values.
    #[error("reading a tensor: {cause}")]
    TensorRead {
        /// What the device reports.
        cause: String,
    },
    /// The operating system refused.
    #[error("{}: cannot {action}", path.display())]
    Io {
        /// The file or folder.
        path: std::path::PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: Arc<std::io::Error>,
    },
    /// A file or folder could not be read or written, or is no such file.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file or folder.
        path: std::path::PathBuf,
        /// What went wrong, or what was expected and found.
        reason: String,
    },
    /// An output is there already and is not to be replaced.
    #[error("{}: the output exists already", path.display())]
    Exists {
        /// The output.
        path: std::path::PathBuf,
    },
    /// A field of a file has a value that cannot be, or a tensor in it.
    #[error("{}: `{field}`: expected {expected}, found {found}", path.display())]
    FileField {
        /// The file.
        path: std::path::PathBuf,
        /// The field or tensor.
        field: String,
        /// What fits.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A file holds what is not read, such as code.
    #[error("{}: {field} = {found} is not supported: {reason}", path.display())]
    Unsupported {
        /// The file.
        path: std::path::PathBuf,
        /// The field or tensor.
        field: String,
        /// Its value.
        found: String,
        /// Why it is refused.
        reason: &'static str,
    },
    /// Training left the finite numbers.
    #[error("training diverged: the loss of step {step} is {loss}")]
    Diverged {
        /// The step, counted from zero.
        step: usize,
        /// Its loss.
        loss: f64,
    },
    /// Checkpoints of another run lie where a run would go on.
    #[error("checkpoints of another run lie here")]
    OtherRun {
        /// What differs.
        source: Box<Error>,
    },
    /// The threads of a computation could not be started.
    #[error("{n_threads} threads could not be started: {reason}")]
    Threads {
        /// The number of threads asked for.
        n_threads: usize,
        /// What the system said.
        reason: String,
    },
}

/// Result of this crate's fallible routines.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors are equal when they say the same; those of the system have no equality of their own.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl Error {
    /// An [`Error::Io`]: what the system said when `action` was tried with a file.
    pub fn file(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Io { path, action, source: Arc::new(source) }
    }

    /// An [`Error::FileField`].
    pub fn file_field(
        path: &Path,
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        let (field, expected, found) = (field.into(), expected.into(), found.to_string());
        Self::FileField { path: path.to_path_buf(), field, expected, found }
    }

    /// An [`Error::Setting`]. Other settings in `expected` stand in backticks.
    pub fn setting(name: impl Into<String>, expected: impl Into<String>, found: impl ToString) -> Self {
        Self::Setting { name: name.into(), expected: expected.into(), found: found.to_string() }
    }
}
