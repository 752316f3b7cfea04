//! The functions between the products of a feed-forward part.

use serde::{Deserialize, Serialize};

/// A function applied to each value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Activation {
    /// `x·Φ(x)`, exact (Hendrycks & Gimpel 2016, "Gaussian Error Linear Units", §2).
    Gelu,
    /// `max(x, 0)`.
    Relu,
}
