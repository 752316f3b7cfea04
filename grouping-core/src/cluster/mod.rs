//! k-means (Lloyd 1982) on points in three forms, many problems at once, and scores.
//!
//! | points | call | work an iteration |
//! |---|---|---|
//! | coordinates `[n, d]` | [`KMeansConfig::fit`] | `O(n·k·d)` by blocked matrix products, `f32`, means in `f64` |
//! | inner products `[n, n]` | [`KMeansConfig::fit_gram`] | `O(n² + n·k)` in `f64`, for few points in many dimensions |
//! | a Burn tensor `[n, d]` | `KMeansConfig::fit_tensor` (feature `burn`) | two matrix products on the tensor's device |
//!
//! What only the Gram form can do, points that equal their opposites and clusters that stay empty, is set on
//! [`GramKMeansConfig`]. Seeding, restarts, stopping and re-seeding of empty clusters are one code for all forms: the same settings give the
//! same labels, up to rounding. On the host results are the same bytes for any number of threads.
//!
//! k-means finds round groups of similar spread; it splits elongated ones, and its result is a local optimum, which
//! restarts improve but do not cure.

mod config;
mod direct;
mod gram;
#[cfg(feature = "kmeans")]
mod kmeans_crate;
mod lloyd;
mod many;
mod nearest;
mod partition;
mod points;
mod score;
mod seeding;
mod space;
#[cfg(feature = "burn")]
mod tensor;

pub use config::{Init, KMeansConfig, Metric};
pub use gram::{EmptyClusters, GramKMeansConfig, Symmetry};
pub use partition::{Clusters, Partition};
pub use score::{adjusted_rand_index, inertia, silhouette};
#[cfg(feature = "burn")]
pub use tensor::TensorClusters;
