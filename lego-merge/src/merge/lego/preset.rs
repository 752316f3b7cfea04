//! LEGO as two other codes have it; the paper's own code is not public.
//!
//! | | `smoea` (Root88888/SMoEA, `system/merging.py`) | `nsc` (wonyoung01/nsc_merging, `src/merge_strategy.py`) |
//! |---|---|---|
//! | features | raw, `√(α/r)` in both halves | both halves normalised; `α/r` left out everywhere |
//! | k-means | k-means++, 10 starts, at most 300 iterations | random points, 1 start, 10 assignments, empty clusters keep their centroid |
//! | reweighting | `‖·‖_∞`, `√(8/k)` | `‖·‖_∞`, `√(r/k)` |
//! | rank | 16 | that of the adapters |
//!
//! Given the same first centroids, the results are equal. Deviations: neither code has weights (here they are folded into
//! the units) nor takes unequal ranks; SMoEA weights all units with 1/N, which changes nothing; the random draws are ours.

use grouping_core::cluster::Init;
use serde::{Deserialize, Serialize};

use super::{Features, Lego, RefRank};

/// Another code's choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Preset {
    /// Root88888/SMoEA: rank 16, `ref_rank` 8
    #[cfg_attr(feature = "cli", value(help = crate::merge::flags("Root88888/SMoEA: rank 16, `ref_rank` 8")))]
    Smoea,
    /// wonyoung01/nsc_merging: `features` normalized, `restarts` 1 from random points, α/r left out
    #[cfg_attr(feature = "cli", value(help = crate::merge::flags("wonyoung01/nsc_merging: `features` normalized, `restarts` 1 from random points, α/r left out")))]
    Nsc,
}

impl Preset {
    /// The rank that the code takes by default, where it is a number.
    pub fn rank(self) -> Option<usize> {
        match self {
            Self::Smoea => Some(16),
            Self::Nsc => None,
        }
    }
}

impl Lego {
    /// LEGO with another code's choices; the builders change them one by one.
    pub fn preset(preset: Preset) -> Self {
        let lego = Self { preset: Some(preset), ..Self::default() };
        match preset {
            Preset::Smoea => lego.with_ref_rank(RefRank::Rank(8)),
            Preset::Nsc => {
                lego.with_features(Features::Normalized).with_init(Init::Random).with_n_restarts(1)
            }
        }
    }
}
