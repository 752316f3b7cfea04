//! Which latent channels matter, by a codec's parameters alone or by pictures (ISCS, arXiv 2509.16853).
//!
//! [`Statistics`] are read from the layers that a [`LayerBinding`] names; a [`Preset`] makes a score of them, [`Core`] the set of
//! salient channels, and [`importance_order`] an order of all. What parameters cannot say, pictures do: [`latent_variances`] and the
//! [`Ablation`] of each channel, by which [`Agreement`] judges the scores.
//!
//! Deviation: the paper's text, and with it each of its formulas, thresholds and layers, could not be read. Its abstract names weight variances,
//! bias magnitudes and pairwise correlations, a salient core and auxiliary channels; how they make a score is this crate's choice, and
//! the ablation shows how good each choice is for a model at hand.

#[cfg(feature = "model")]
mod ablation;
#[cfg(feature = "model")]
mod ablation_file;
mod agreement;
mod axes;
mod binding;
mod correlations;
mod normalisation;
mod order;
#[cfg(feature = "model")]
mod pink_noise;
mod preset;
#[cfg(feature = "model")]
mod probe;
mod profile;
mod salient;
mod statistics;

#[cfg(feature = "model")]
pub use ablation::{Ablation, AblationSource, ablate};
pub use agreement::{Agreement, spearman};
pub(crate) use axes::slice_channels;
pub use axes::{ChannelAxis, Use, channel_axes};
pub use binding::{Kernels, LayerBinding};
pub use correlations::kernel_correlations;
pub use normalisation::Normalisation;
pub use order::{Attachment, REDUNDANT, attachments, importance_order, rank_by_score};
#[cfg(feature = "model")]
pub use pink_noise::{PinkNoise, pink_noise};
pub use preset::{Formula, Preset, scores};
#[cfg(feature = "model")]
pub use probe::latent_variances;
pub use profile::Profile;
pub use salient::Core;
pub use statistics::{Statistic, Statistics};
