//! k-means (Lloyd 1982) on points in three forms, many problems at once, and scores.
//!
//! | points | call | work an iteration |
//! |---|---|---|
//! | coordinates `[n, d]` | [`KMeansConfig::fit`] | `O(n·k·d)` by blocked matrix products, `f32`, means in `f64` |
//! | inner products `[n, n]` | [`KMeansConfig::fit_gram`] | `O(n² + n·k)` in `f64`, for few points in many dimensions |
//! | a Burn tensor `[n, d]` | `KMeansConfig::fit_tensor` (feature `burn`) | two matrix products on the tensor's device |
//!
//! Seeding, restarts, stopping and re-seeding of empty clusters are one code for all forms: the same settings give the
//! same labels, up to rounding. On the host results are the same bytes for any number of threads.
//!
//! k-means finds round groups of similar spread; it splits elongated ones, and its result is a local optimum, which
//! restarts improve but do not cure.

mod clusters;
mod config;
mod direct;
mod gram;
#[cfg(feature = "kmeans")]
mod kmeans_crate;
mod lloyd;
mod many;
mod nearest;
mod points;
mod score;
mod seeding;
#[cfg(feature = "burn")]
mod tensor;

#[cfg(feature = "burn")]
pub use clusters::TensorClusters;
pub use clusters::{Clusters, GramClusters};
pub use config::{EmptyClusters, Engine, Init, KMeansConfig, Metric, Symmetry};
pub use score::{adjusted_rand_index, inertia, silhouette};
