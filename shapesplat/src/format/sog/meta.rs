//! `meta.json` of a `.sog`.

use serde::{Deserialize, Serialize};

/// The version that is read and written.
pub(super) const VERSION: u64 = 2;
/// Entries of a codebook.
pub(super) const ENTRIES: usize = 256;
/// The mark of a scene that was trained with antialiasing.
pub(super) const ANTIALIASED: &str = "antialiased";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) version: u64,
    #[serde(default)]
    pub(super) asset: Asset,
    pub(super) count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    pub(super) means: Means,
    pub(super) scales: Coded,
    pub(super) quats: Files,
    pub(super) sh0: Coded,
    #[serde(default, rename = "shN", skip_serializing_if = "Option::is_none")]
    pub(super) rest: Option<Rest>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Asset {
    #[serde(default)]
    pub(super) generator: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Means {
    pub(super) mins: [f64; 3],
    pub(super) maxs: [f64; 3],
    pub(super) files: [String; 2],
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Coded {
    pub(super) codebook: Vec<f32>,
    pub(super) files: [String; 1],
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Files {
    pub(super) files: [String; 1],
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Rest {
    pub(super) count: u64,
    pub(super) bands: usize,
    pub(super) codebook: Vec<f32>,
    pub(super) files: [String; 2],
}
