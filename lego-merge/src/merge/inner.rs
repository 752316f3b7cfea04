//! Names of what `knots` and `core-space` do inside their subspace.

use serde::{Deserialize, Serialize};

/// What a method does with the adapters' coordinates in its subspace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Inner {
    /// Add them (task arithmetic)
    Ta,
    /// TIES: trim to `density`, elect a sign, average what agrees
    #[cfg_attr(feature = "cli", value(help = super::flags("TIES: trim to `density`, elect a sign, average what agrees")))]
    #[default]
    Ties,
    /// DARE: keep `density` at random, rescale, add
    #[cfg_attr(feature = "cli", value(help = super::flags("DARE: keep `density` at random, rescale, add")))]
    Dare,
    /// Task singular vectors, decorrelated (core-space only)
    Tsv,
}

impl Inner {
    /// The name as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ta => "ta",
            Self::Ties => "ties",
            Self::Dare => "dare",
            Self::Tsv => "tsv",
        }
    }

    /// Whether it keeps a share of the coordinates, `density`.
    pub(super) fn prunes(self) -> bool {
        matches!(self, Self::Ties | Self::Dare)
    }
}
