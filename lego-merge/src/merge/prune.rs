//! Pruning: one adapter at smaller ranks, as a merge of it alone with weight 1.
//!
//! By SVD truncation, the best approximation of each module's update at its rank, or by LEGO, which clusters the adapter's
//! own units, as LoRA-LEGO proposes. LEGO loses to truncation, the more the smaller the rank (experiment `lego-merge/prune`),
//! so truncation is the default.

use serde::{Deserialize, Serialize};

use super::{Lego, MergeConfig, RankRule, Svd};

/// How an adapter is pruned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PruneMethod {
    /// Keep the largest singular values
    #[default]
    Svd,
    /// Cluster the ranks by LoRA-LEGO with both reweightings (keeps less of what the adapter does)
    Lego,
}

/// How to prune an adapter: the rank, the method and the seed.
///
/// ```
/// use grouping_core::matrix::Matrix;
/// use lego_merge::adapter::{Adapter, AdapterConfig};
/// use lego_merge::merge::{PruneSpec, merge};
///
/// // Of its two ranks the second repeats the first.
/// let (a, b) = (Matrix::from_fn(2, 3, |_, j| j as f32), Matrix::from_fn(4, 2, |i, _| i as f32));
/// let adapter = Adapter::from_factors("wasteful", AdapterConfig::new(2), [("layer.q".to_string(), a, b)])?;
/// let (pruned, report) = merge(&[adapter], &PruneSpec::new("energy:0.99".parse()?).config(), |_| ())?;
/// assert_eq!(pruned.modules()[0].rank, 1);
/// assert!(report.agreement()[0].retained_energy > 0.99);
/// # Ok::<(), lego_merge::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct PruneSpec {
    /// Rank of the result: a number, energy:0.95 (share of the squared norm kept), ratio:0.01 (smallest singular value against the largest), or auto (by silhouette)
    #[cfg_attr(feature = "cli", arg(long, value_name = "K"))]
    pub rank: RankRule,
    /// How to prune
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value = "svd"))]
    #[serde(default)]
    pub method: PruneMethod,
    /// Seed of the clustering
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0))]
    #[serde(default)]
    pub seed: u64,
}

impl PruneSpec {
    /// Truncation to a rank, seed 0.
    pub fn new(rank: RankRule) -> Self {
        Self { rank, method: PruneMethod::default(), seed: 0 }
    }

    /// The configuration of the merge of one adapter that prunes it.
    pub fn config(&self) -> MergeConfig {
        let config = match self.method {
            PruneMethod::Svd => MergeConfig::new(Svd),
            PruneMethod::Lego => MergeConfig::new(Lego::default()),
        };
        config.with_rank(self.rank).with_seed(self.seed)
    }
}
